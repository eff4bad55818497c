"""Scenes out of releases of every sort, out of several images, and out of the masks of a model."""

import json
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from excerpts import EXCERPTS
from som_files import coco, visual_genome
from sphinx_x.engines.som.engine import make_som
from sphinx_x.engines.som.panels import SHAPES, compose, open_picture, panel_source
from sphinx_x.engines.som.readers import SCENES, coco_source, open_scenes
from sphinx_x.engines.som.regions import Region, Rle
from sphinx_x.engines.som.scenes import Relation, Scene, check_upright, under_licence
from sphinx_x.errors import CheckpointError, DataError
from sphinx_x.sources.base import Malformed, Raw


def scenes_of(source, raw):
    return {record.id: source.build(record, raw) for record in source.read(raw)}


def test_a_sample_whose_picture_is_missing_is_set_aside(tmp_path):
    """Its boxes are relative, and its size is not told: it is opened when the sample is read."""
    Image.new("RGB", (40, 30)).save(tmp_path / "there.png")
    turns = [{"role": "user", "content": "<image>What?"}, {"role": "assistant", "content": "This."}]
    region = {"text": "cat", "box": [0.1, 0.1, 0.5, 0.5]}
    rows = [
        {"id": name, "images": [{"path": f"{name}.png"}], "messages": turns, "regions": [region], "boxes": "0..1"}
        for name in ("there", "gone")
    ]
    (tmp_path / "made.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    there, gone = SCENES["samples"].read(Raw(tmp_path))
    assert there.id == "there" and isinstance(gone.data, Malformed) and "gone.png" in gone.data.reason


@pytest.mark.parametrize(
    ("turned", "told", "refused"), [(1, None, False), (3, None, True), (3, (40, 20), True), (6, (20, 40), False)]
)
def test_places_in_a_picture_that_its_exif_data_turns_are_refused(turned, told, refused, tmp_path):
    """Where the size in its annotations is that of the picture as it is shown, so are the places."""
    exif = Image.Exif()
    exif[0x0112] = turned
    Image.new("RGB", (40, 20)).save(tmp_path / "turned.jpg", exif=exif)
    scene = Scene("one", tmp_path / "turned.jpg", (), "natural", size=told)
    with pytest.raises(DataError, match="EXIF") if refused else nullcontext():
        check_upright(coco_source("*.json", "any"), scene, tmp_path / "turned.jpg")
    check_upright(SCENES["samples"], scene, tmp_path / "turned.jpg")


@pytest.mark.parametrize("name", [name for name in SCENES if name in EXCERPTS and name != "visual-genome"])
def test_every_public_set_gives_scenes(name, tmp_path):
    EXCERPTS[name](tmp_path)
    raw, source = Raw(tmp_path), SCENES[name]
    built = []
    for record in source.read(raw):
        assert not isinstance(record.data, Malformed)
        built.append(source.build(record, raw))
    assert any(scene.regions for scene in built)
    for scene in built:
        image = open_picture(scene.image)
        assert scene.size in (None, image.size) and scene.domain == source.domain
        placed = scene.in_pixels(image.size)
        for region in placed.regions:
            assert region.name or region.text
            left, top, right, bottom = region.bounds()
            assert -1 <= left < right <= image.width + 1 and -1 <= top < bottom <= image.height + 1


def test_coco_gives_polygons_runs_and_boxes(tmp_path):
    path = coco(tmp_path)
    scenes = scenes_of(coco_source(path.name), Raw(tmp_path))
    assert len(scenes) == 6 and scenes["0"].left_out == {"crowd": 1}
    mask = scenes["0"].regions[-1].mask
    assert isinstance(mask, Rle)
    assert mask.mask().sum() == 60 * 180 and mask.mask()[:, 20:80].all()
    regions = [region for scene in scenes.values() for region in scene.regions]
    assert any(region.polygons for region in regions) and any(not region.polygons for region in regions)


def test_scenes_are_found_at_their_place(tmp_path):
    path = coco(tmp_path / "a", images=2)
    (tmp_path / "a" / "images").rename(tmp_path / "pictures")
    source, raw = open_scenes(path, images=[tmp_path / "pictures"])
    assert len(scenes_of(source, raw)) == 2 and source.name == "coco-json"
    visual_genome(tmp_path / "b")
    assert len(scenes_of(*open_scenes(tmp_path / "b", "visual-genome"))) == 3
    for place, name, said in (
        (tmp_path / "b", None, "name the source"),
        (tmp_path / "b", "imagenet", "no source of scenes"),
        (path, "visual-genome", "is a file"),
        (tmp_path / "none", "sroie", "no such folder"),
    ):
        with pytest.raises(DataError, match=said):
            open_scenes(place, name)


def test_visual_genome_gives_relations(tmp_path):
    visual_genome(tmp_path)
    scenes = scenes_of(SCENES["visual-genome"], Raw(tmp_path))
    first = scenes["1"]
    assert [region.name for region in first.regions] == ["man", "hat", "tree"]
    assert first.relations == (Relation(0, "wearing", 1),)
    assert first.left_out == {"object without a name": 1, "relationship without its objects": 1}
    assert scenes["2"].relations == () and scenes["3"].regions == ()
    (tmp_path / "relationships.json").unlink()
    assert scenes_of(SCENES["visual-genome"], Raw(tmp_path))["1"].relations == ()


def test_receipts(shared_dir):
    source, raw = SCENES["sroie"], Raw(shared_dir / "data" / "sroie")
    records = list(source.read(raw))
    assert len(records) == 40
    scene = source.build(records[0], raw)
    assert scene.domain == "document" and scene.regions[0].text == "TAN WOON YANN"


def test_scenes_with_relative_places():
    region = Region("x", box=(0.5, 0.25, 1, 0.5), polygons=(((0.5, 0.25), (1, 0.25), (1, 0.5)),))
    placed = Scene("s", b"", (region,), "gui", unit=1).in_pixels((200, 80))
    assert placed.unit is None and placed.regions[0].box == (100, 20, 200, 40)
    assert placed.regions[0].polygons == (((100, 20), (200, 20), (200, 40)),)


def test_panels(tmp_path):
    path = coco(tmp_path, images=23)
    source, raw = panel_source(coco_source(path.name)), Raw(tmp_path)
    records = list(source.read(raw))
    assert sum(len(record.data) for record in records) == 23
    assert all((len(record.data) in {r * c for r, c in SHAPES}) for record in records[:-1])
    for record in records[:-1]:
        scene = source.build(record, raw)
        image = open_picture(scene.image)
        assert scene.size == image.size and len(scene.regions) == len(record.data)
        for region in scene.regions:
            left, top, right, bottom = region.bounds()
            assert 0 <= left < right <= image.width and 0 <= top < bottom <= image.height
            assert region.name.startswith("panel with ")
        assert source.build(record, raw).image() == scene.image()


def test_licences_of_panels_and_of_all(tmp_path):
    path = coco(tmp_path, images=12)
    plain, raw = coco_source(path.name), Raw(tmp_path)

    def build(record, raw):
        return replace(plain.build(record, raw), licence="" if record.id.endswith("1") else "CC-BY-NC-4.0")

    mixed = replace(plain, licence="own", build=build)

    def licences(source):
        return {source.build(record, raw).licence for record in source.read(raw) if record.count > 1}

    found = licences(panel_source(mixed))
    assert "CC-BY-NC-4.0" in "; ".join(found) and found <= {"CC-BY-NC-4.0; own", "CC-BY-NC-4.0", "own"}
    assert {scene.licence for scene in scenes_of(under_licence(mixed, "MINE"), raw).values()} == {"MINE"}
    assert licences(panel_source(under_licence(mixed, "MINE"))) == {"MINE"}


def test_panels_show_the_images_in_their_places(tmp_path):
    scenes = []
    for name, colour in (("a", "red"), ("b", "blue"), ("c", "lime")):
        Image.new("RGB", (60, 40), colour).save(tmp_path / f"{name}.png")
        scenes.append(Scene(name, tmp_path / f"{name}.png", (Region("dog"), Region("dog"), Region("cat")), "natural"))
    scene = compose(scenes, 1, 3, "k")
    assert scene.regions[0].name == "panel with dogs and a cat"
    image = open_picture(scene.image)
    for region, colour in zip(scene.regions, ((255, 0, 0), (0, 0, 255), (0, 255, 0)), strict=True):
        left, top, right, bottom = region.bounds()
        pixel = image.getpixel((int(left + right) // 2, int(top + bottom) // 2))
        assert max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) < 12


def test_a_panel_that_cannot_be_used_is_counted(tmp_path):
    path = coco(tmp_path, images=12)
    (tmp_path / "images" / "001.png").unlink()
    source, raw = panel_source(coco_source(path.name)), Raw(tmp_path)
    left_out: dict = {}
    for record in source.read(raw):
        try:
            left_out |= source.build(record, raw).left_out
        except DataError as error:
            left_out[str(error)] = 1
    assert "panel that cannot be used: image missing" in left_out or "fewer than two panels" in left_out


@pytest.fixture(scope="module")
def tiny_sam(tmp_path_factory):
    from tiny_sam import write_sam

    return write_sam(tmp_path_factory.mktemp("sam"))


def test_a_mask_model_may_be_named_by_an_address(tiny_sam, monkeypatch):
    """As every model: what the hub's address names is fetched first, and read from the folder."""
    from sphinx_x.engines.som import sam

    asked = []
    monkeypatch.setattr(sam, "fetch", lambda address: asked.append(address) or tiny_sam)
    settings = sam.SamSettings("hf://owner/name@main/sub/folder", points_per_side=2, least_iou=-9, least_stability=0)
    assert sam.find_masks(Image.new("RGB", (64, 48), "white"), settings) is not None
    assert asked == [settings.model]


def test_masks_of_a_model(tiny_sam, tmp_path):
    from sphinx_x.engines.som.sam import SamSettings, sam_source

    (tmp_path / "in" / "deep").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "in" / "deep" / "a.PNG")
    Image.fromarray(noise[:, ::-1]).save(tmp_path / "in" / "b.jpg")
    settings = SamSettings(str(tiny_sam), points_per_side=4, least_iou=-9, least_stability=0, overlap=0.95, most=5)
    source, raw = sam_source(settings), Raw(tmp_path / "in")
    scenes = scenes_of(source, raw)
    assert list(scenes) == ["b.jpg", "deep/a.PNG"]
    masks = [region.mask for scene in scenes.values() for region in scene.regions]
    assert masks and all((mask.height, mask.width) == (60, 90) and mask.mask().any() for mask in masks)
    assert all(len(scene.regions) <= 5 for scene in scenes.values())
    assert scenes_of(source, raw) == scenes
    tally = make_som(source, raw, tmp_path / "out", workers=1)
    assert tally.samples == 2 and not tally.set_aside
    with pytest.raises(CheckpointError, match="not a model that makes masks"):
        scenes_of(sam_source(SamSettings(str(tmp_path))), raw)


def test_better_masks_suppress_others():
    import torch

    from sphinx_x.engines.som.sam import _suppress

    boxes = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [1, 1, 2, 2]]).float()
    assert _suppress(boxes, torch.tensor([0.5, 0.9, 0.7, 0.1]), 0.7) == [1, 2, 3]
    assert _suppress(boxes[:0], torch.tensor([]), 0.7) == []


def test_cut_outs_have_exact_masks(tmp_path):
    from sphinx_x.engines.som.cutouts import cutout_source, name_of

    said = {
        "a": "A red disc.\nen.utf8=...",
        "b": "An African coin.",
        "c": "Bottles.",
        "d": "Less. Than equal.",
        "e": "",
    }
    colours = {"a": (255, 0, 0), "b": (0, 255, 0), "c": (0, 0, 255), "d": (9, 9, 9), "disc-shaped_thing": (255, 255, 0)}
    y, x = np.mgrid[:80, :80]
    disc = (x - 40) ** 2 + (y - 40) ** 2 < 35**2
    for name, colour in colours.items():
        pixels = np.zeros((80, 80, 4), np.uint8)
        pixels[disc] = (*colour, 255)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        if name in said:
            (tmp_path / f"{name}.txt").write_text(said[name], encoding="utf-8")
    names = ["red disc", "African coin", "bottles", "", "disc shaped thing"]
    assert [name_of(tmp_path / f"{name}.png") for name in colours] == names
    source, raw = cutout_source(), Raw(tmp_path)
    scenes = list(scenes_of(source, raw).values())
    assert sum(scene.left_out["cut-out without a name"] for scene in scenes) == 1
    for scene in scenes:
        image = np.asarray(open_picture(scene.image)).astype(int)
        assert scene.size == (image.shape[1], image.shape[0])
        for region in scene.regions:
            colour = colours[list(colours)[names.index(region.name)]]
            near = np.abs(image - colour).sum(2) < 30
            mask = region.mask.mask()
            assert (near & mask).sum() > 0.9 * mask.sum()
            assert (near & ~mask).sum() < 0.1 * mask.sum()
    assert scenes_of(source, raw) == {scene.id: scene for scene in scenes}
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:80])
    (tmp_path / "c.png").rename(tmp_path / "C.PNG")
    again = scenes_of(source, raw := Raw(tmp_path)).values()
    assert sum(scene.left_out["cut-out that cannot be read"] for scene in again) == 1
    assert sum(record.count for record in source.read(raw)) == 5
