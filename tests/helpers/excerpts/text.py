"""Text without images."""

from pathlib import Path

from excerpts.files import put, put_lines, put_table


def _ultrachat(root: Path) -> None:
    for number in range(2):
        talk = [f"What is {number} plus one?", f"It is {number + 1}.", "Are you sure?", "Yes."]
        put_lines(root / f"train_{number}.jsonl", [{"id": str(number), "data": talk}])
    odd = ["Name a river.", "The Rhine.", "Thank you!"]
    short = ["Is `<image>` a tag of HTML?", "No, the tag is `<img>`."]
    put_lines(root / "train_1.jsonl", [{"id": "3", "data": odd}, {"id": "31", "data": short}])


def _flan_mini(root: Path) -> None:
    for number, word in enumerate(("zero", "one")):
        turns = [{"from": "human", "value": f"Write {number} as a word."}, {"from": "gpt", "value": word}]
        put_table(
            root / "data" / f"chunk_{number}.parquet",
            [{"id": f"flan_{number}", "source": "flan2021", "conversations": turns}],
        )


def _openorca(root: Path) -> None:
    row = {
        "id": "flan.1",
        "system_prompt": "You are an AI assistant. Explain step by step.",
        "question": "Is 7 a prime number?",
        "response": "Its only divisors are 1 and 7. So yes, it is prime.",
    }
    put_table(root / "1M-GPT4-Augmented.parquet", [row, row | {"id": "niv.2", "system_prompt": ""}])
    put_table(root / "3_5M-GPT3_5-Augmented.parquet", [row | {"response": "Yes, 7 is prime."}])


def _metamathqa(root: Path) -> None:
    records = [
        {
            "type": "GSM_Rephrased",
            "query": "Ann has 3 bags of 4 apples. How many apples are there?",
            "original_question": "There are 4 apples in each of Ann's 3 bags. How many apples are there?",
            "response": "3 bags with 4 apples each are 3*4 = 12 apples.\n#### 12\nThe answer is: 12",
        },
        {
            "type": "MATH_FOBAR",
            "query": "What is $X+1$? If we know the answer is 5, what is the value of unknown variable X?",
            "original_question": "What is $4+1$?",
            "response": "We have $X+1=5$, so $X=\\boxed{4}$.\nThe answer is: 4",
        },
    ]
    put(root / "MetaMathQA-395K.json", records)


def _mathinstruct(root: Path) -> None:
    records = [
        {
            "source": "data/CoT/aqua_rat.json",
            "instruction": "What is 2 + 2?\nAnswer Choices: (A) 3 (B) 4 (C) 5",
            "output": "2 + 2 = 4. The answer is B.",
        },
        {
            "source": "data/PoT/mathqa.json",
            "instruction": "What is half of 9? Please write a Python program to solve it.",
            "output": "answer = 9 / 2\nprint(answer)",
        },
    ]
    put(root / "MathInstruct.json", records)


def _wizardcoder(root: Path) -> None:
    records = [
        {"instruction": "Reverse a list in Python.", "output": "```python\nitems[::-1]\n```"},
        {"instruction": "Do it in place.\nlist = [1, 2]", "output": "```python\nitems.reverse()\n```"},
    ]
    put(root / "EvolInstruct-Code-80k.json", records)


EXCERPTS = {
    "ultrachat": _ultrachat,
    "flan-mini": _flan_mini,
    "openorca": _openorca,
    "metamathqa": _metamathqa,
    "mathinstruct": _mathinstruct,
    "wizardcoder": _wizardcoder,
}
