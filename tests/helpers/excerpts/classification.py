"""Images in a folder per class."""

from pathlib import Path

from excerpts.files import picture, put

NAMES = """\
n01440764 tench, Tinca tinca
n01443537 goldfish, Carassius auratus
n01484850 great white shark, white shark, man-eater, man-eating shark, Carcharodon carcharias
n02123045 tabby, tabby cat
n04557648 water bottle
"""


def _imagenet(root: Path) -> None:
    put(root / "LOC_synset_mapping.txt", NAMES)
    for name in ("n01440764_18", "n01484850_1003", "n02123045_7", "n04557648_1"):
        picture(root / "ILSVRC" / "Data" / "CLS-LOC" / "train" / name.split("_")[0] / f"{name}.JPEG")


EXCERPTS = {"imagenet": _imagenet}
