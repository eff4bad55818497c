"""LLaVA-Bench (in the wild): a judge scores a free answer and the released one of GPT-4; the score is their ratio."""

from collections.abc import Iterator
from pathlib import Path

from sphinx_x.errors import DataError
from sphinx_x.evaluation import judge_prompts as prompts
from sphinx_x.evaluation.items import Item, Verdict
from sphinx_x.evaluation.judging import PROMPT, Judging, Texts
from sphinx_x.evaluation.measures import Grouped
from sphinx_x.evaluation.readers import Folders, entry, load, picture, rows_of, text_of, texts
from sphinx_x.evaluation.scoring import grades
from sphinx_x.evaluation.scoring.verdicts import not_scored
from sphinx_x.evaluation.task import Files, Task

FOLDERS = ("**/llava-bench-in-the-wild", "**/llavabench", ".")
CATEGORIES = ("conv", "detail", "complex")


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """questions.jsonl, with context.jsonl (a description of every image) and answers_gpt4.jsonl beside it.

    Where rule.json of the LLaVA repository lies there too, its prompts are asked word for word.
    """
    rows = rows_of(path)
    contexts = {text_of(row, "image"): row for row in rows_of(path.with_name("context.jsonl"))}
    answers = {row.get("question_id"): row for row in rows_of(path.with_name("answers_gpt4.jsonl"))}
    rules = _rules(path.with_name("rule.json"))
    for number, row in enumerate(rows):
        with entry(path, number):
            name, kind, key = text_of(row, "image"), text_of(row, "category"), row["question_id"]
            if kind not in CATEGORIES:
                raise ValueError(f"no category of LLaVA-Bench: {kind!r}")
            if name not in contexts or key not in answers:
                raise ValueError("its image has no context" if name not in contexts else "has no answer of GPT-4")
            facts = {"context": "\n".join(texts(contexts[name]["caption"]))}
            if kind in rules:
                facts |= {"rule": rules[kind], PROMPT: "rule.json of the LLaVA repository"}
            true = text_of(answers[key], "text")
            question = text_of(row, "text")
            yield Item(number, question, picture(name, folders), (true,), str(key), kind, name, facts=facts)


def _rules(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    content = load(path)
    try:
        return {kind: text_of(content[f"llava_bench_{kind}"], "prompt") for kind in CATEGORIES}
    except (LookupError, TypeError) as error:
        raise DataError(f"{path}: holds no prompts of LLaVA-Bench") from error


def ask(item: Item, answer: str) -> Texts:
    """The conversation of the release: description, question, GPT-4's answer, the model's."""
    said = "".join(
        f"[Assistant {number}]\n{text}\n\n[End of Assistant {number}]\n\n"
        for number, text in enumerate((item.references[0], answer), 1)
    )
    head = f"[Context]\n{item.facts['context']}\n\n[Question]\n{item.question}\n\n"
    wanted = item.facts.get("rule", prompts.PAIR)
    return [("system", prompts.PAIR_SYSTEM), ("user", f"{head}{said}[System]\n{wanted}\n\n")]


def both(item: Item, verdict: Verdict) -> tuple[float, float]:
    """The model's score and that of GPT-4."""
    return verdict.score, 1.0 if verdict.beside is None else verdict.beside


AGAIN = "Write two numbers from 1 to 10 alone, with one blank between: the score of Assistant 1, then of Assistant 2."
WORST = Verdict(0.0, None, beside=1.0)
TASKS = [
    Task(
        "llavabench",
        "LLaVA-Bench (in the wild)",
        {"test": Files(tuple(f"{f}/questions.jsonl" for f in FOLDERS), tuple(f"{f}/images" for f in FOLDERS), 60)},
        read,
        not_scored,
        Grouped(CATEGORIES, lambda item: (item.kind,), "relative score", 100.0, both),
        max_new_tokens=512,
        judging=Judging(prompts.PAIR_VERSION, ask, grades.read_pair, AGAIN, longest=1024, nothing=WORST),
        licence="Apache-2.0 (images as their sources)",
        address="https://huggingface.co/datasets/liuhaotian/llava-bench-in-the-wild",
        layout="LLaVA's evaluator (questions.jsonl, context.jsonl, answers_gpt4.jsonl, images)",
        paper={"": {"tiny": 52.3, "intern2": 57.6, "plus": 71.7, "moe": 70.2}},
        aliases=("llava_bench", "llava_w"),
        note="the judge's prompt is our own wording, unless rule.json of the LLaVA repository lies beside the "
        "questions; no answer counts as 0 against 10",
    )
]
