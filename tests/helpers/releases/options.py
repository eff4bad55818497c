"""Questions with options."""

from pathlib import Path

from releases.files import base64_picture, picture, put, put_tsv


def mmbench_row(index: int, question: str, options: str, answer: str, image: str, hint: str = "") -> dict[str, str]:
    """A row of the table. options: parted by blanks."""
    cells = dict(zip("ABCD", [*options.split(), "", "", "", ""][:4], strict=True))
    facts = {"index": str(index), "question": question, "hint": hint, **cells, "answer": answer}
    return {**facts, "category": "attribute_recognition", "image": image, "source": "made"}


def _mmbench(root: Path) -> None:
    """Two questions with all of their rotations, whose pictures are told by the index of the first row."""
    say = 'He says:\n"Look!"'
    rows = [
        mmbench_row(241, "Which colour is it?", "red blue green", "B", base64_picture("blue"), say),
        mmbench_row(252, "Is it round?", "yes no", "A", base64_picture("red")),
        mmbench_row(1000241, "Which colour is it?", "blue green red", "A", "241", say),
        mmbench_row(2000241, "Which colour is it?", "green red blue", "C", "241", say),
        mmbench_row(1000252, "Is it round?", "no yes", "B", "252"),
    ]
    put_tsv(root / "MMBench_DEV_EN.tsv", rows)


def _ccbench(root: Path) -> None:
    """A table without rotations."""
    rows = [
        mmbench_row(0, "图中是什么？", "饺子 粽子 月饼 汤圆", "C", base64_picture("orange")),
        mmbench_row(1, "这是哪里？", "长城 故宫", "A", base64_picture("green")),
    ]
    put_tsv(root / "CCBench.tsv", rows)


def _seed_bench(root: Path) -> None:
    def row(number: int, dimension: int, answer: str, **more: object) -> dict[str, object]:
        texts = dict(
            zip(("choice_a", "choice_b", "choice_c", "choice_d"), ("One", "Two", "Three", "Four"), strict=True)
        )
        facts = {
            "answer": answer,
            **texts,
            "data_id": f"1{number}_25",
            "data_type": "image",
            "question_id": str(number),
        }
        return {**facts, "question": "How many towels are there?", "question_type_id": dimension, **more}

    rows = [row(101669, 5, "A"), row(101670, 5, "D"), row(101671, 9, "B")]
    video = row(7, 10, "C", data_type="video", data_id="7.webm")
    put(root / "SEED-Bench.json", {"questions": [*rows, video], "question_type": {"Instances Counting": 5}})
    for made in rows:
        picture(root / "SEED-Bench-image" / f"{made['data_id']}.png")
        (root / "SEED-Bench-image" / f"{made['data_id']}.png").rename(root / "SEED-Bench-image" / str(made["data_id"]))


def _iconqa(root: Path) -> None:
    problems = {
        "19": {"question": "What time is it?", "choices": ["morning", "evening"], "answer": 1},
        "7": {"question": "How many?", "choices": ["1", "2", "3"], "answer": 0},
        "8": {"question": "Fill in.", "answer": "4"},
    }
    for number, problem in problems.items():
        problem |= {"ques_type": "choose_txt" if "choices" in problem else "fill_in_blank", "grade": "prek"}
        if "choices" in problem:
            picture(root / "iconqa_data" / "iconqa" / "test" / "choose_txt" / number / "image.png")
    put(root / "iconqa_data" / "problems.json", problems)
    put(root / "iconqa_data" / "pid_splits.json", {"choose_txt_test": ["7", "19"], "fill_in_blank_test": ["8"]})


def _mmvp(root: Path) -> None:
    lines = [
        "lndex,Question,Options,Correct Answer",
        "1,Are the wings open or closed?,(a) Open (b) Closed,(a)",
        "2,Are the wings open or closed?,(a) Open (b) Closed,(b)",
        '3,"In the picture, where is the dog?",(a) Left (b) Right,(b)',
        '4,"In the picture, where is the dog?",(a) Left (b) Right,(a)',
    ]
    put(root / "MMVP" / "Questions.csv", "\n".join(lines) + "\n")
    for number in range(1, 5):
        picture(root / "MMVP" / "MMVP Images" / f"{number}.jpg")


def _aesbench(root: Path) -> None:
    folder = root / "EAPD_release"
    asked = {
        "AesP_data": {"Question": "Is the picture sharp?", "Options": "A) Yes\nB) No"},
        "AesE_data": {"Question": "What does it make you feel?", "Options": "A) Joy\nB) Grief\nC) Fear\nD) Nothing"},
        "AesA1_data": {"Question": "How is the quality of this image?", "Options": "A) High\nB) Medium\nC) Low"},
        "AesI_data": {"Question": "Comment on the picture."},
    }
    put(folder / "AesBench_evaluation.json", {"baid_1.jpg": asked, "para_2.jpg": asked})
    answers = {"AesP": "A) Yes", "AesE": "B) Grief", "AesA1": "low"}
    put(folder / "AesBench_GT.json", {"baid_1.jpg": answers, "para_2.jpg": {**answers, "AesP": "B) No"}})
    for name in ("baid_1.jpg", "para_2.jpg"):
        picture(folder / "images" / name)


def _qbench(root: Path) -> None:
    rows = [
        {
            "img_path": "00214.jpg",
            "question": "Is the picture blurred?",
            "question_concern": 0,
            "question_type": 0,
            "candidates": ["No", "Yes"],
            "correct_ans": "Yes",
        },
        {
            "img_path": "00215.jpg",
            "question": "What is the worst flaw?",
            "question_concern": 2,
            "question_type": 1,
            "candidates": ["Noise", "Blur", "None of these"],
            "correct_ans": "Noise",
        },
    ]
    put(root / "qbench" / "llvisionqa_dev.json", rows)
    for row in rows:
        picture(root / "qbench" / "images" / row["img_path"])


def _ai2d(root: Path) -> None:
    def questions(name: str, asked: dict[str, tuple[list[str], int]]) -> None:
        rows = {
            text: {
                "abcLabel": False,
                "answerTexts": answers,
                "correctAnswer": true,
                "questionId": f"{name}-{number}",
            }
            for number, (text, (answers, true)) in enumerate(asked.items())
        }
        content = {"questions": rows, "imageName": name, "nonQuestions": {}}
        put(root / "ai2d" / "questions" / f"{name}.json", content)
        picture(root / "ai2d" / "images" / name)

    questions("10.png", {"What eats grass?": (["owl", "cow", "fox", "none of these"], 1)})
    questions("11.png", {"Which is the root?": (["A", "B", "C", "D"], 0), "How many?": (["3", "2", "1", "4"], 3)})
    questions("12.png", {"Of the training part?": (["a", "b", "c", "d"], 0)})
    put(root / "ai2d" / "ai2d_test_ids.csv", "11\n10\n")


def _scienceqa(root: Path) -> None:
    problem = {
        "question": "Which is a metal?",
        "choices": ["wood", "iron"],
        "answer": 1,
        "hint": "Look at the picture.",
        "image": "image.png",
        "subject": "natural science",
        "split": "test",
    }
    problems = {"4": problem, "5": {**problem, "image": None}, "6": {**problem, "split": "val"}}
    put(root / "scienceqa" / "problems.json", problems)
    picture(root / "scienceqa" / "images" / "test" / "4" / "image.png")


RELEASES = {
    "mmbench": _mmbench,
    "mmbench_plain": _mmbench,
    "ccbench": _ccbench,
    "ccbench_plain": _ccbench,
    "seed_bench": _seed_bench,
    "iconqa": _iconqa,
    "mmvp": _mmvp,
    "aesbench": _aesbench,
    "qbench": _qbench,
    "ai2d": _ai2d,
    "scienceqa": _scienceqa,
}
