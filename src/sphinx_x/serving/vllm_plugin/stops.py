"""What ends an answer besides the end-of-sequence token: vLLM knows no text of a model's own that does."""

# pyright: reportMissingImports=false

from __future__ import annotations

from functools import wraps
from typing import Any

from vllm.exceptions import VLLMValidationError
from vllm.v1.engine.input_processor import InputProcessor

from sphinx_x.model.config import SphinxXConfig
from sphinx_x.model.prompt import PromptBuilder


def stop_where_answers_end() -> None:
    """Make vLLM's `InputProcessor` add what ends an answer to each request; calling it again is harmless.

    Every request passes there, that of a server and that of a program, with sampling parameters of its own.
    """
    plain = InputProcessor.process_inputs
    if hasattr(plain, "__wrapped__"):
        return

    @wraps(plain)
    def process_inputs(self: Any, *given: Any, **named: Any) -> Any:
        request = plain(self, *given, **named)
        if isinstance(self.model_config.hf_config, SphinxXConfig) and request.sampling_params is not None:
            add_stop(request.sampling_params, self.renderer.member.builder)
        return request

    InputProcessor.process_inputs = process_inputs


def add_stop(params: Any, builder: PromptBuilder) -> None:
    """Add what ends an answer to a request's sampling parameters, unless they ignore the end of answers.

    Raises:
        VLLMValidationError: The end is a text, and the request wants no text.
    """
    ids = builder.stop_ids()
    if params.ignore_eos or ids == [builder.tokenizer.eos_token_id]:
        return
    if len(ids) == 1 and ids[0] in builder.tokenizer.all_special_ids:
        params.stop_token_ids = [*(params.stop_token_ids or []), ids[0]]
        params._all_stop_token_ids = {*params._all_stop_token_ids, ids[0]}
        return
    text = builder.stop_text()
    if not params.detokenize:
        raise VLLMValidationError(f"detokenize: this model's answers end at a text, {text!r}", parameter="detokenize")
    params.stop = [*(params.stop or []), text]
    if not params.include_stop_str_in_output:
        params.output_text_buffer_length = max(len(one) for one in params.stop) - 1
