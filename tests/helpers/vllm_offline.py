"""Asks vLLM without a server; runs under the Python that has vLLM: `python vllm_offline.py ASKED ANSWERED`.

ASKED is JSON: `model`; `engine`, arguments of `LLM`; `sampling`, those of `SamplingParams`; `calls`, each with
`messages` or a `prompt` and arguments of `LLM.chat` or `LLM.generate`; `together`, how many of the first are asked at
once as well; `loads`, arguments of engines that are not started. ANSWERED gets for each call the prompt's ids, the
answer's ids, its text and how it ended, or the error; and the errors of the loads.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any


def ask(llm: Any, sampling: Any, call: dict[str, Any]) -> dict[str, Any]:
    call = dict(call)
    try:
        if "messages" in call:
            (found,) = llm.chat([call.pop("messages")], sampling, use_tqdm=False, **call)
        else:
            (found,) = llm.generate([call.pop("prompt")], sampling, use_tqdm=False, **call)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    (said,) = found.outputs
    prompt = list(found.prompt_token_ids)
    return {"prompt": prompt, "ids": list(said.token_ids), "text": said.text, "finish": said.finish_reason}


def load(model: str, options: dict[str, Any]) -> str:
    from vllm.engine.arg_utils import EngineArgs

    try:
        EngineArgs(model, **options).create_engine_config()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def main(asked: Path, answered: Path) -> None:
    from vllm import LLM, SamplingParams

    given = json.loads(asked.read_text())
    loads = [load(given["model"], options) for options in given.get("loads", [])]
    if not given.get("calls"):
        answered.write_text(json.dumps({"loads": loads}))
        return
    llm, sampling = LLM(given["model"], **given["engine"]), SamplingParams(**given["sampling"])
    began = time.perf_counter()
    answers = [ask(llm, sampling, call) for call in given["calls"]]
    apart = time.perf_counter() - began
    began = time.perf_counter()
    many = [call["messages"] for call in given["calls"][: given.get("together", 0)]]
    together = [one.outputs[0].text for one in llm.chat(many, sampling, use_tqdm=False)] if many else []
    seconds = {"apart": apart, "together": time.perf_counter() - began}
    answered.write_text(json.dumps({"answers": answers, "together": together, "seconds": seconds, "loads": loads}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
