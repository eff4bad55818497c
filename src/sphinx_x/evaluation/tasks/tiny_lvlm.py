"""Tiny LVLM-eHub: a few questions each of 42 data sets, sorted into five abilities whose scores are added up."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.measures import ByKind
from sphinx_x.evaluation.readers import Folders, entry, picture, rows_of, text_of, texts
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Task

SETS = {
    "Visual_Reasoning": "DocVQA TextVQA STVQA OCRVQA OKVQA GQA IconQA VSR WHOOPS ScienceQA VizWiz",
    "Visual_Perception": "ImageNet CIFAR10 OxfordIIITPet Flowers102 VCR1_OC VCR1_MCI MSCOCO_OC MSCOCO_MCI",
    "Visual_Knowledge_Acquisition": "IIIT5K IC13 IC15 Total-Text CUTE80 SVT SVTP COCO-Text WordArt CTW HOST WOST SROIE "
    "FUNSD",
    "Visual_Commonsense": "ImageNetVC_color ImageNetVC_shape ImageNetVC_material ImageNetVC_component "
    "ImageNetVC_others",
    "Object_Hallucination": "MSCOCO_pope_random MSCOCO_pope_popular MSCOCO_pope_adversarial",
}
ABILITIES = tuple(SETS)
ABILITY = {name: ability for ability, names in SETS.items() for name in (ability, *names.split())}
EMBODIED = ("MetaWorld", "FrankaKitchen", "Minecraft", "VirtualHome", "MinecraftPolicy")
"""Sets of the first version that people rate: they are no part of the sum."""


def own_item(row: Mapping[str, Any], number: int, name: str, folders: Folders) -> Item:
    """A question of the release (image_path, question, gt_answers)."""
    image = f"{name}/{text_of(row, 'image_path')}"
    return Item(
        index=number,
        question=text_of(row, "question"),
        pictures=picture(image, folders),
        references=texts(row["gt_answers"]),
        id=f"{name}/{number}",
        kind=ABILITY[name],
        cluster=image,
    )


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """A folder of sets, or of the five abilities: dataset.json with the pictures beside it."""
    there = {file.parent.name: file for file in sorted(path.glob("*/dataset.json"))}
    unknown = there.keys() - {*ABILITY, *EMBODIED}
    if unknown:
        raise DataError(f"{path}: no sets of Tiny LVLM-eHub: {', '.join(sorted(unknown))}")
    number = 0
    for name in (name for name in ABILITY if name in there):
        for place, row in enumerate(rows_of(there[name])):
            with entry(there[name], place):
                yield own_item(row, number, name, (path, *folders))
                number += 1


TASKS = [
    Task(
        "tiny_lvlm",
        "Tiny LVLM-eHub",
        {"test": Files(("**/updated_datasets", "**/tiny_lvlm_datasets"), (), None)},
        read,
        verdicts.holds_word,
        ByKind(ABILITIES, "overall score", 100.0, whole="sum"),
        max_new_tokens=32,
        licence="see the sets",
        address="https://github.com/OpenGVLab/Multi-Modality-Arena",
        layout="Multi-Modality-Arena's tiny_lvlm_evaluation (updated_eval_tiny.py, sample_dataset.py, utils/tools.py); "
        "the prompts stand in the released questions",
        paper={"": {"tiny": 301.5, "intern2": 312.9, "plus": 282.1, "moe": 335.3}},
        aliases=("tiny_lvlm_ehub",),
        note="five abilities of 100 each; `index` counts the sets in the order of the release's lists. A true answer "
        "of which the normalisation leaves nothing has to be the whole answer, the released program finds it in any",
    )
]
