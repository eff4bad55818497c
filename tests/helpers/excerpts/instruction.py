"""LLaVA's conversation form."""

from pathlib import Path

from excerpts.files import picture, put


def talk(image: str, *said: str) -> dict:
    """A record: its image, and what is said in turn, the user first."""
    turns = [{"from": ("human", "gpt")[k % 2], "value": text} for k, text in enumerate(said)]
    return {"id": Path(image).stem, "image": image, "conversations": turns}


LLAVA = [
    talk(
        "000000000009.jpg",
        "What is in the bowl?\n<image>",
        "Bread and fruit.",
        "Is the bowl blue?",
        "Yes, it is a blue bowl.",
    ),
    talk("000000000025.jpg", "<image>\nWhere could this picture have been taken?", "In a park, as there are trees."),
    talk("000000000009.jpg", "<image>\nDescribe the following image.", "A bowl of food stands on a table."),
]


def _llava(root: Path) -> None:
    put(root / "llava_instruct_150k.json", LLAVA)
    picture(root / "train2017" / "000000000009.jpg", 64, 48)
    picture(root / "train2017" / "000000000025.jpg", 48, 64)


def _lvis(root: Path) -> None:
    records = [
        talk(
            "coco/train2017/000000000009.jpg",
            "<image>\nHow many spoons are there?",
            "There are two spoons.",
            "What lies beside them?",
            "A folded napkin.",
        ),
        talk("coco/train2017/000000000009.jpg", "<image>\nDescribe the picture.", "Two spoons on a table."),
        talk("coco/val2017/000000000139.jpg", "<image>\nWhat room is it?", "A kitchen.", "What room is it?", "One."),
    ]
    put(root / "lvis_instruct4v_220k.json", records)
    picture(root / "coco" / "train2017" / "000000000009.jpg", 64, 48)
    picture(root / "coco" / "val2017" / "000000000139.jpg", 32, 32)


def _llavar(root: Path) -> None:
    own = [
        talk(
            "001000000000.jpg",
            "<image>\nWhat is the title of the book?",
            'The title is "A Walk".',
            "Who wrote it?",
            "Its author is Jo Doe.",
        ),
        talk("001000000001.jpg", "What does the sign say?\n<image>", "It says STOP."),
    ]
    put(root / "llava_instruct_150k_llavar_20k.json", [*LLAVA, *own])
    picture(root / "finetune" / "001000000000.jpg", 40, 60)
    picture(root / "finetune" / "001000000001.jpg", 60, 40)


EXCERPTS = {"llava": _llava, "lvis-instruct4v": _lvis, "llavar": _llavar}
