"""Masks of boxes by a SAM of the user: those of the library's own model, in pixels of the picture as it was sent."""

import json

import numpy as np
import PIL.Image
import pytest
import torch
from torch.nn.functional import interpolate
from transformers import SamModel

from commands import one_line, run
from pdf_pages import PageOf, Pdf
from served import Served, data_url
from sphinx_x.engines.som.regions import Rle
from tiny_sam import SIDE, write_sam

SIZE = (SIDE, 48)
"""As large as the model sees it, so that nothing has to be resized."""
BOXES = [[10, 5, 40, 44], [0, 0, 64, 48], [30.5, 20.25, 60, 40]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_sam(tmp_path_factory.mktemp("sam"))


@pytest.fixture(scope="module")
def served(tiny, folder):
    with Served(tiny, sam=str(folder)) as running:
        yield running


@pytest.fixture(scope="module")
def picture():
    return PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (*SIZE[::-1], 3), np.uint8))


def ask(served, image, given, **keys):
    url = image if isinstance(image, str) else data_url(image)
    body = {"model": "tiny", "image_url": {"url": url}, "boxes": given, **keys}
    with served.http() as http:
        return http.post("/v1/masks", content=json.dumps(body), headers={"Content-Type": "application/json"})


def masks_in(told):
    return [Rle.from_coco(one).mask() for one in told["data"]]


def test_masks_are_those_of_the_model_asked_by_hand(served, folder, picture):
    told = ask(served, picture, BOXES).json()
    pixels = torch.zeros(1, 3, SIDE, SIDE)
    pixels[..., : SIZE[1], :] = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255 * 2 - 1
    with torch.inference_mode():
        output = SamModel.from_pretrained(folder)(pixels, input_boxes=torch.tensor([BOXES]), multimask_output=False)
        whole = interpolate(output.pred_masks[0], (SIDE, SIDE), mode="bilinear")[:, 0, : SIZE[1]] > 0
    assert (told["width"], told["height"]) == SIZE and len(told["data"]) == 3
    for found, wanted, one, score in zip(masks_in(told), whole, told["data"], output.iou_scores[0, :, 0], strict=True):
        # a value of almost 0 may fall on the other side
        assert (found != wanted.numpy()).mean() < 0.002 and 0.05 < found.mean() < 0.95
        assert one["size"] == [48, 64] and one["score"] == pytest.approx(float(score), abs=1e-4)


@pytest.mark.parametrize("size", [(400, 300), (100, 33), (7, 90), (1, 1)])
def test_masks_have_the_size_of_the_picture(served, size):
    told = ask(served, PIL.Image.new("RGB", size, "teal"), [[0, 0, *size], [-5, 0, 0.5, 900]]).json()
    assert [mask.shape for mask in masks_in(told)] == [size[::-1]] * 2


def test_each_box_is_answered_by_itself(served, picture):
    together = ask(served, picture, BOXES).json()["data"]
    assert [ask(served, picture, [box]).json()["data"][0]["counts"] for box in BOXES] == [
        one["counts"] for one in together
    ]


def test_a_page_of_a_pdf(served, tmp_path):
    file = Pdf([PageOf(["0 0 9 9 re f"], size) for size in ((72, 72), (144, 72))]).write(tmp_path / "two.pdf")
    url = data_url(file.read_bytes()).replace("image/png", "application/pdf")
    told = ask(served, url, [[0, 0, 9, 9]], image_url={"url": url, "page": 2}).json()
    assert told["width"] == 2 * told["height"]


@pytest.mark.parametrize(
    ("keys", "status", "said"),
    [
        ({"boxes": []}, 400, "boxes"),
        ({"boxes": [[1, 2, 3]]}, 400, "boxes.0"),
        ({"boxes": [[0, 0, 9, 9], [5, 5, 4, 9]]}, 400, "boxes.1: nothing of [5.0, 5.0, 4.0, 9.0] lies in the image"),
        ({"boxes": [[64, 0, 70, 9]]}, 400, "boxes.0: nothing of"),
        ({"boxes": [[0, 0, 9, "9"]]}, 400, "boxes.0.3"),
        ({"boxes": [[0, 0, 10**400, 9]]}, 400, "boxes.0.2"),
        ({"boxes": [[0, 0, 9, 9]] * 65}, 400, "boxes"),
        ({"model": "other"}, 404, "no 'other'"),
        ({"points": [[1, 2]]}, 400, "points: unknown key"),
        ({"image_url": {"url": "file:///etc/passwd"}}, 400, "not in a folder that this server may read"),
        ({"image_url": {"url": "http://127.0.0.1:1/a.png"}}, 400, "fetches no images"),
        ({"image_url": {"url": "data:image/png;base64,AAAA"}}, 400, "image"),
    ],
)
def test_what_cannot_be_answered_is_named(served, picture, keys, status, said):
    got = ask(served, picture, [[0, 0, 9, 9]], **keys)
    assert got.status_code == status and said in got.json()["error"]["message"]
    assert served.service.masks.places.taken == 0


def test_more_than_can_wait_are_told_when_to_come_back(served, picture):
    places = served.service.masks.places
    for _ in range(9):
        places.take()
    try:
        got = ask(served, picture, BOXES)
        assert got.status_code == 429 and int(got.headers["Retry-After"]) >= 1
    finally:
        for _ in range(9):
            places.leave(1.0)


def test_without_a_model_they_are_refused_by_name(tiny, picture):
    with Served(tiny) as served:
        got = ask(served, picture, BOXES)
        assert got.status_code == 404 and "no SAM model; start it with --sam" in got.json()["error"]["message"]
        with served.http() as http:
            assert http.get("/page/model").json()["masks"] is False


def test_a_folder_that_is_no_sam_ends_in_one_line(tiny_folder, tmp_path, capsys):
    for folder in (tmp_path, tmp_path / "nothing", tiny_folder):
        code, out, err = run("serve", tiny_folder, "--port", 0, "--device", "cpu", "--sam", folder, capsys=capsys)
        assert (code, out) == (2, "") and str(folder) in err and one_line(err), err
