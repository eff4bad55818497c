"""Masks by a segment-anything model of the user: of everything in an image, or of boxes that are given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from sphinx_x.boxes import Box
from sphinx_x.checkpoints.hub import fetch
from sphinx_x.engines.som.regions import Region, Rle
from sphinx_x.engines.som.scenes import Scene, SceneSource
from sphinx_x.errors import CheckpointError, DataError, one_line
from sphinx_x.images import open_image
from sphinx_x.sources.base import PICTURES, Raw, Record


@dataclass(frozen=True)
class SamSettings:
    """A SAM (a folder, hub id or address), where it runs, and which masks are kept (as in the library's pipeline).

    Attributes:
        most: Largest number of masks per image, the best first.
        overlap: Overlap of boxes above which the worse of two masks is dropped.
    """

    model: str
    device: str = "cpu"
    points_per_side: int = 32
    points_per_batch: int = 64
    least_iou: float = 0.88
    least_stability: float = 0.95
    overlap: float = 0.7
    most: int = 60


def sam_source(settings: SamSettings, licence: str = "as the images' owner says") -> SceneSource:
    """Return a source of every image below a folder with the masks that the model finds; they have no names.

    The model is loaded once in each process that makes samples, so use few workers with a large one.
    """
    layout = "any folder of images"
    build = partial(_build, settings=settings)
    return SceneSource("sam", "natural", licence, layout, read_images, build, asdict(settings), upright=True)


def read_images(raw: Raw) -> Iterator[Record]:
    """Yield the images of a folder, named by their path in it."""
    found = [path for ending in PICTURES for path in (*raw.files(f"*{ending}"), *raw.files(f"*{ending.upper()}"))]
    for path in sorted(set(found)):
        name = path.relative_to(raw.root) if path.is_relative_to(raw.root) else path
        yield Record(name.as_posix(), path)


def _build(record: Record, raw: Raw, settings: SamSettings) -> Scene:
    path: Path = record.data
    regions = tuple(Region(mask=mask) for mask in find_masks(path, settings))
    return Scene(record.id, path, regions, "natural")


def find_masks(image: Any, settings: SamSettings) -> list[Rle]:
    """Return the masks that the model finds in an image (as for `open_image`), the most confident first."""
    generator = _generator(settings)
    try:
        found = generator(
            open_image(image),
            points_per_batch=settings.points_per_batch,
            points_per_crop=settings.points_per_side,
            pred_iou_thresh=settings.least_iou,
            stability_score_thresh=settings.least_stability,
            crops_nms_thresh=settings.overlap,
        )
    except (RuntimeError, IndexError) as error:
        raise DataError(f"the mask model failed: {one_line(error)}") from error
    order = sorted(range(len(found["masks"])), key=lambda k: -float(found["scores"][k]))
    masks = [Rle.from_coco(found["masks"][k]) for k in order]
    return [mask for mask in masks if sum(mask.counts[1::2])][: settings.most]


class BoxMasks:
    """Masks of boxes: the thing in each box, as the model sees it.

    Attributes:
        name: Name of the model, as it was given.
    """

    def __init__(self, model: str, device: Any = "cpu") -> None:
        """Load a model.

        Args:
            model: A folder, hub id or address.
            device: Where it runs.

        Raises:
            CheckpointError: It cannot be loaded, or is no SAM.
        """
        from transformers import SamProcessor

        self.name = model
        self._model, images = _load(model)
        if self._model.config.model_type != "sam":
            raise CheckpointError(f"{model}: a model of the kind {self._model.config.model_type}, not sam")
        self._model.to(device)
        self._processor: Any = SamProcessor(images)

    def __call__(self, image: Image.Image, boxes: Sequence[Box]) -> list[tuple[Rle, float]]:
        """Return the mask of each box with the model's own estimate of its overlap with the truth.

        Args:
            image: The image.
            boxes: Boxes in its pixels.

        Raises:
            DataError: The model failed.
        """
        given = [[[float(n) for n in box] for box in boxes]]
        try:
            inputs = self._processor(image, input_boxes=given, return_tensors="pt")
            sizes, seen = inputs.pop("original_sizes"), inputs.pop("reshaped_input_sizes")
            with torch.inference_mode():
                inputs = inputs.to(self._model.device, torch.float32)  # the library makes boxes of 64 bits
                # one mask for each box: of the three that the model has for an ambiguous point, a box needs none
                told = self._model(**inputs, multimask_output=False)
            masks, scores = told.pred_masks[0].float().cpu(), told.iou_scores[0, :, 0].tolist()
            # one by one, as each becomes as large as the image
            whole = (self._processor.image_processor.post_process_masks([mask[None]], sizes, seen) for mask in masks)
            return [(Rle.of(found[0][0, 0].numpy()), score) for found, score in zip(whole, scores, strict=True)]
        except (RuntimeError, IndexError) as error:
            raise DataError(f"the mask model failed: {one_line(error)}") from error


@cache
def _generator(settings: SamSettings) -> Any:
    from transformers import pipeline

    model, processor = _load(settings.model)
    return pipeline("mask-generation", model=model, image_processor=processor, device=settings.device)


def _load(name: str) -> tuple[Any, Any]:
    """Return a model that makes masks, and what makes its pixels."""
    from transformers import AutoModelForMaskGeneration
    from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

    class Processor(SamImageProcessorPil):
        """The library's own, except for its last step, which needs torchvision and decodes masks kept as runs."""

        def post_process_for_mask_generation(
            self, all_masks: Any, all_scores: Any, all_boxes: Any, crops_nms_thresh: float
        ) -> Any:
            kept = _suppress(all_boxes.float(), all_scores, crops_nms_thresh)
            masks = [all_masks[k] for k in kept]
            return masks, all_scores[kept], masks, all_boxes[kept]

    folder = fetch(name)
    try:
        return AutoModelForMaskGeneration.from_pretrained(folder), Processor.from_pretrained(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{name}: not a model that makes masks: {one_line(error)}") from error


def _suppress(boxes: Any, scores: Any, limit: float) -> list[int]:
    """Return the indices of boxes (N, 4) that no better one overlaps by more than `limit`, best first."""
    waiting = scores.argsort(descending=True, stable=True)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    while len(waiting):
        first, waiting = int(waiting[0]), waiting[1:]
        kept.append(first)
        low = boxes[waiting, :2].maximum(boxes[first, :2])
        sides = (boxes[waiting, 2:].minimum(boxes[first, 2:]) - low).clamp(min=0)
        common = sides[:, 0] * sides[:, 1]
        waiting = waiting[common <= limit * (areas[waiting] + areas[first] - common).clamp(min=1e-9)]
    return kept
