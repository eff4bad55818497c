"""Asks vLLM without a server; runs under the Python that has vLLM: `python vllm_offline.py MODEL ASKED ANSWERED`.

ASKED is JSON: `engine`, arguments of `LLM`; `sampling`, those of `SamplingParams`; `talks`, a list of messages. ANSWERED
gets for each the prompt's ids, the answer's ids, its text and how it ended, or the error.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any


def answer(llm: Any, sampling: Any, messages: list[Any]) -> dict[str, Any]:
    try:
        (found,) = llm.chat([messages], sampling, use_tqdm=False)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    (said,) = found.outputs
    return {
        "prompt": list(found.prompt_token_ids),
        "ids": list(said.token_ids),
        "text": said.text,
        "finish": said.finish_reason,
    }


def main(model: str, asked: Path, answered: Path) -> None:
    from vllm import LLM, SamplingParams

    given = json.loads(asked.read_text())
    llm, sampling = LLM(model, **given["engine"]), SamplingParams(**given["sampling"])
    began = time.perf_counter()
    answers = [answer(llm, sampling, messages) for messages in given["talks"]]
    apart = time.perf_counter() - began
    began = time.perf_counter()
    together = llm.chat(given["talks"], sampling, use_tqdm=False) if given.get("together") else []
    texts = [one.outputs[0].text for one in together]
    seconds = {"apart": apart, "together": time.perf_counter() - began}
    answered.write_text(json.dumps({"answers": answers, "together": texts, "seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
