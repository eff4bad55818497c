"""Schemas whose references lead to each other, as deep as a request may be or as long as a schema may be."""

from typing import Any

from sphinx_x.inference import SphinxX
from sphinx_x.serving.formats import REFERENCES, Formats, RefusedError

WAYS = {
    "items": lambda inner: {"type": "array", "minItems": 1, "items": inner},
    "properties": lambda inner: {"properties": {"a": inner}},
    "patternProperties": lambda inner: {"patternProperties": {"^a": inner}},
    "allOf": lambda inner: {"allOf": [inner, {}]},
    "anyOf": lambda inner: {"anyOf": [inner, {"type": "null"}]},
}


def chain(kind: str) -> dict[str, Any]:
    """As many references as a schema may have, each within several levels of one kind."""
    wrap = WAYS[kind]
    levels = min(24 if kind == "items" else 12, (32_000 // REFERENCES - 50) // len(str(wrap(0))))
    schema = {"$defs": {"d0": {"type": "string"}}, "$ref": f"#/$defs/d{REFERENCES - 1}"}
    for number in range(1, REFERENCES):
        inner = {"$ref": f"#/$defs/d{number - 1}"}
        for _ in range(levels):
            inner = wrap(inner)
        schema["$defs"][f"d{number}"] = inner
    return schema


def try_chain(kind: str) -> None:
    """Prints why such a schema is refused, if it is, and that the process is alive."""
    try:
        Formats(SphinxX.load("nano")).form(chain(kind))
    except RefusedError as error:
        print(error)
    print("alive", flush=True)
