"""Inference: the single path from a question (and images) to an answer, for chat, evaluation and serving alike.

- `sphinx`: `SphinxX`, a loaded model that answers
- `session`: `Session`, a conversation of several turns
- `prompts`: `Prompt`, one conversation as the model takes it
- `answer`: `Answer`, an answer with what it points at and what it took
- `pointing`: boxes, points, key points and marks of an answer, in pixels
- `asking`: the signature that `chat` and `ask` share, and the message that a question becomes
- `evidence`: lines of an image that say what an answer says
- `features`: features of images, remembered by what the images show
- `prefix`: keys and values of earlier prompts, remembered by their tokens and images
- `bounded`: a memory of so many bytes, which both use
- `running`: from prompts to ids, with both
- `options`: options of an answer: temperature, stop texts, seed
- `generation`: stopping, streaming and default settings for the library's `generate`
- `loading`: from a model folder to a model and its processor
- `finding`: from a name to a model folder
- `packaged`: built-in members over base weights in packages
- `onnx`: `OnnxModel`, a model exported to ONNX that answers through onnxruntime
"""

from sphinx_x.inference.answer import Answer
from sphinx_x.inference.asking import Images
from sphinx_x.inference.finding import BUILT_IN, built_in_models, find_adapters, find_model, folder_here
from sphinx_x.inference.loading import load_processor
from sphinx_x.inference.pointing import Found
from sphinx_x.inference.prompts import Prompt
from sphinx_x.inference.session import Session
from sphinx_x.inference.sphinx import SphinxX

__all__ = [
    "BUILT_IN",
    "Answer",
    "Found",
    "Images",
    "Prompt",
    "Session",
    "SphinxX",
    "built_in_models",
    "find_adapters",
    "find_model",
    "folder_here",
    "load_processor",
]
