"""Small videos, made where they are needed: each frame has a shade of grey of its own, so that it can be told."""

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest


def need_av():
    """PyAV; without it the test is skipped, and fails where CI is set."""
    try:
        import av
    except ImportError:
        if os.environ.get("CI") == "true":
            pytest.fail("PyAV is missing, though the dev extra brings it")
        pytest.skip("needs PyAV (the extra `video`)")
    return av


def shade(number: int) -> int:
    """The grey of frame `number`: far enough apart to survive a codec; up to 20."""
    return 8 + 12 * number


def make_video(
    path: Path,
    frames: int | Sequence[np.ndarray] = 20,
    times: Sequence[int] | None = None,
    rate: int = 10,
    codec: str = "libx264",
    matrix: Sequence[int] | None = None,
    aspect: Fraction | None = None,
    size: tuple[int, int] = (64, 48),
    container: dict[str, str] | None = None,
    form: str = "yuv420p",
    **options: str,
) -> Path:
    """Writes a video.

    Args:
        path: The file; its ending says which container.
        frames: How many grey ones, or pictures (H, W, 3) uint8.
        times: When each is shown, in milliseconds; else `rate` of them a second.
        rate: Frames a second.
        codec: FFmpeg's name.
        matrix: A display matrix (a, b, c, d): the picture's right goes to (a, b), its bottom to (c, d).
        aspect: Width by height of a pixel.
        size: Width and height of grey frames.
        container: Options of the container's writer.
        form: The pixel format that is encoded.
        options: Of the codec.
    """
    av = need_av()
    grey = (
        [np.full((size[1], size[0], 3), shade(number), np.uint8) for number in range(frames)]
        if isinstance(frames, int)
        else list(frames)
    )
    base = Fraction(1, 1000) if times else Fraction(1, rate)
    with av.open(str(path), "w", options=container or {}) as file:
        stream = file.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = grey[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = form, 1_000_000
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if times:
            stream.time_base = stream.codec_context.time_base = base
        if matrix:
            a, b, c, d = (65536 * number for number in matrix)
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        for number, picture in enumerate(grey):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24" if picture.shape[2] == 3 else "rgba")
            frame.pts, frame.time_base = times[number] if times else number, base
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def seen(picture) -> int:
    """The number of the frame that a picture shows."""
    return round((float(np.asarray(picture).mean()) - shade(0)) / 12)
