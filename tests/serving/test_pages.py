"""What the server does for its web page: how pictures are seen, pages of PDFs, files, and what it refuses."""

import io
from base64 import b64decode

import PIL.Image
import pytest

from pdf_pages import PageOf, Pdf
from served import Served
from sphinx_x.images import count_pages, open_image
from sphinx_x.model.abilities import Abilities
from sphinx_x.model.views import plan_views

PDF, OCTETS = {"Content-Type": "application/pdf"}, {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def served(tiny):
    with Served(tiny, image_bytes=100_000) as running:
        yield running


@pytest.fixture(scope="module")
def client(served):
    with served.http() as opened:
        yield opened


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """14 pages, each wider than the one before."""
    pages = [PageOf(["1 0 0 rg 10 10 40 30 re f"], (100 + 10 * k, 150)) for k in range(14)]
    return Pdf(pages).write(tmp_path_factory.mktemp("pdf") / "many.pdf").read_bytes()


@pytest.mark.parametrize("size", [(200, 100), (100, 200), (128, 128), (1, 1), (3000, 17), (7_345, 6_789)])
def test_how_a_picture_is_seen(client, tiny, size):
    seen = client.get("/page/view", params={"width": size[0], "height": size[1]}).json()
    layout = plan_views(*size, tiny.processor.image_processor.grid())
    assert (seen["kept"], seen["canvas"], seen["refusal"]) == (list(layout.kept), layout.grid.canvas, None)
    x, y = layout.to_square((0.3 * size[0], 0.7 * size[1]))
    assert (seen["left"] + 0.3 * size[0] * seen["scale"]) / seen["canvas"] == pytest.approx(x)
    assert (seen["top"] + 0.7 * size[1] * seen["scale"]) / seen["canvas"] == pytest.approx(y)
    prompt = tiny.prompt_for("What?", PIL.Image.new("RGB", size)) if size[0] < 10_000 else None
    if prompt is not None:
        assert (seen["image_tokens"], seen["unskipped_tokens"]) == (prompt.visual_tokens, prompt.unskipped_tokens)


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_sent(client):
    refusal = client.get("/page/view", params={"width": 10_000, "height": 9_000}).json()["refusal"]
    assert refusal == "10000 x 9000 pixels are more than the limit of 50,000,000"


@pytest.mark.parametrize("kind", ["tiff", "ppm", "jpeg2000", "webp", "png"])
def test_any_picture_becomes_an_upright_png(client, kind):
    image = PIL.Image.effect_noise((40, 30), 90).convert("RGB")
    image.save(content := io.BytesIO(), kind)
    got = client.post("/page/picture", content=content.getvalue(), headers=OCTETS)
    assert got.status_code == 200 and got.headers["Content-Type"] == "image/png"
    png = PIL.Image.open(io.BytesIO(got.content))
    assert png.format == "PNG" and png.convert("RGB").tobytes() == open_image(content.getvalue()).tobytes()


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", OCTETS, 400),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", OCTETS, 400),
        (b"a" * 100_001, OCTETS, 413),
        (b"x", {"Content-Type": "image/png"}, 415),
    ],
)
def test_what_is_no_picture_is_refused(client, served, content, headers, status):
    got = client.post("/page/picture", content=content, headers=headers)
    assert got.status_code == status and got.json()["error"]["message"]
    assert served.service.page.places.taken == 0


def test_the_member_and_what_it_refuses(client, served, tiny, monkeypatch):
    told = client.get("/page/model").json()
    assert told["name"] == "tiny" and told["alone"] is None and told["limits"]["image_bytes"] == 100_000
    lines = [{"what": "a line", "width": 100, "height": 20}]
    ability = Abilities.from_dict({"pictures": lines, "text_alone": False})
    monkeypatch.setattr(type(tiny.model.config), "ability", lambda _: ability)
    assert client.get("/page/model").json()["alone"].startswith("this model takes no text alone: give it a line")
    refusal = client.get("/page/view", params={"width": 200, "height": 100}).json()["refusal"]
    assert refusal == ability.refusal([(200, 100)], 1, tiny.processor.image_processor.grid().canvas)


def test_pages_to_choose_from(client, document):
    first = client.post("/page/pdf/previews?first=1", content=document, headers=PDF).json()
    rest = client.post("/page/pdf/previews?first=13", content=document, headers=PDF).json()
    assert first["pages"] == rest["pages"] == count_pages(document) == 14
    pages = first["previews"] + rest["previews"]
    assert [page["page"] for page in pages] == list(range(1, 15))
    widths = [PIL.Image.open(io.BytesIO(b64decode(page["image"].partition(",")[2]))).width for page in pages]
    assert widths == sorted(widths) and widths[0] < widths[-1] <= 320


def test_a_page_is_what_the_model_would_be_given(client, document):
    answer = client.post("/page/pdf?page=3", content=document, headers=PDF)
    assert answer.headers["content-type"] == "image/png"
    picture = PIL.Image.open(io.BytesIO(answer.content))
    assert picture.tobytes() == open_image(document, page=3).tobytes()


def test_a_page_that_cannot_be_shown_does_not_hide_the_others(client, tmp_path):
    sheets = [PageOf([], (100, 100)), PageOf([], (90_000, 90_000))]
    content = Pdf(sheets).write(tmp_path / "huge.pdf").read_bytes()
    good, bad = client.post("/page/pdf/previews?first=1", content=content, headers=PDF).json()["previews"]
    assert "image" in good and "pixels are more than the limit" in bad["error"]
    refused = client.post("/page/pdf?page=2", content=content, headers=PDF)
    assert refused.status_code == 400 and "pixels are more than the limit" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "content", "headers", "status", "words"),
    [
        ("/page/pdf?page=1", b"%PDF-1.7\n", PDF, 400, "broken PDF"),
        ("/page/pdf/previews?first=1", b"", PDF, 400, "PDF"),
        ("/page/pdf?page=1", b"%PDF-1.7\n", {"Content-Type": "text/plain"}, 415, "application/pdf"),
        ("/page/pdf?page=1", b"%PDF-1.7\n" + bytes(200_000), PDF, 413, "100,000 bytes"),
        ("/page/pdf?page=0", b"", PDF, 400, "page: a whole number from 1"),
        ("/page/pdf?page=" + "9" * 5000, b"", PDF, 400, "page: a whole number from 1"),
        ("/page/pdf?page=٣", b"", PDF, 400, "page: a whole number from 1"),
        ("/page/pdf", b"", PDF, 400, "page: a whole number from 1"),
        ("/page/pdf/previews?first=15", None, PDF, 400, "no page 15, the last one is 14"),
        ("/page/pdf?page=15", None, PDF, 400, "no page 15, the last one is 14"),
    ],
)
def test_what_is_refused(client, document, path, content, headers, status, words):
    answer = client.post(path, content=document if content is None else content, headers=headers)
    assert answer.status_code == status and words in answer.json()["error"]["message"]


def test_a_picture_is_no_pdf(client):
    PIL.Image.new("RGB", (5, 5)).save(out := io.BytesIO(), "PNG")
    answer = client.post("/page/pdf?page=1", content=out.getvalue(), headers=PDF)
    assert answer.status_code == 400


@pytest.mark.parametrize("query", ["", "?width=0&height=1", "?width=-1&height=5", "?width=1e3&height=5", "?width=5"])
def test_sizes_that_are_none(client, query):
    assert client.get(f"/page/view{query}").status_code == 400


def test_more_pdfs_than_there_are_places_for(client, served, document):
    routes = served.service.page
    for _ in range(10):
        routes.places.take()
    try:
        answer = client.post("/page/pdf?page=1", content=document, headers=PDF)
        assert answer.status_code == 429 and int(answer.headers["Retry-After"]) >= 1
    finally:
        for _ in range(10):
            routes.places.leave(0.1)
    assert client.post("/page/pdf?page=1", content=document, headers=PDF).status_code == 200
    assert routes.places.taken == 0


def test_files_of_the_page(client):
    page = client.get("/")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert "'unsafe" not in page.headers["content-security-policy"]
    for name, kind in (("app.js", "javascript"), ("style.css", "text/css"), ("icon.svg", "image/svg+xml")):
        answer = client.get(f"/{name}")
        assert answer.status_code == 200 and kind in answer.headers["content-type"]
        assert answer.headers["cache-control"] == "no-cache"
        assert client.get(f"/{name}", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    for path in ("/../settings.py", "/..%2fsettings.py", "/%2e%2e/settings.py", "/nothing.js"):
        assert client.get(path).status_code == 404


def test_every_route_of_the_page_wants_the_token(tiny):
    with Served(tiny, token="a-token-for-the-page") as served, served.http() as client:
        for path in ("/", "/app.js", "/page/model", "/page/view?width=5&height=5"):
            assert client.get(path).status_code == 401
            assert client.get(path, headers={"Authorization": "Bearer a-token-for-the-page"}).status_code == 200
        for path in ("/page/pdf?page=1", "/page/pdf/previews?first=1"):
            assert client.post(path, content=b"%PDF-", headers=PDF).status_code == 401
