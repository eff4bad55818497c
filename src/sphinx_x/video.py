"""Frames of videos as images: evenly sampled, upright, decoded one by one. PyAV reads the files (extra `video`)."""

from __future__ import annotations

import contextlib
import io
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from PIL import Image

from sphinx_x import images
from sphinx_x.errors import ImageError, needs_extra

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

Video = str | Path | bytes
# The kinds of file that are opened. FFmpeg knows more, but some of those name other files or addresses to be read
# (playlists, HLS), or have no signature.
FORMATS = ("mp4", "matroska", "webm", "avi", "mpegts", "mpeg", "ogg", "flv", "asf")
_SHOWN = "MP4, MOV, MKV, WebM, AVI, MPEG, Ogg, FLV, WMV"
# Boxes that an MP4 or QuickTime file begins with, and the brands of pictures in the same container.
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide")
_PICTURES = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_HEADS = (
    *(b"\x1aE\xdf\xa3", b"FLV\x01", b"OggS", b"0&\xb2u\x8ef\xcf\x11"),  # Matroska and WebM, FLV, Ogg, ASF
    *(b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3"),  # MPEG
)
# The four first numbers of a display matrix, by their signs -> what turns the frame upright. Phones write the quarter
# turns, front cameras the mirrored ones.
_UPRIGHT = {
    (1, 0, 0, 1): None,
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}
_SLACK = 0.5  # seconds by which the head of a file may promise more than it holds, with a fiftieth of its length


def is_video(source: Video) -> bool:
    """Return whether a file, or what begins with these bytes, is a video of a supported kind, by its first bytes."""
    if isinstance(source, bytes):
        head = source[:1024]
    else:
        try:
            with images.open_file(source, str(source)) as file:
                head = file.read(1024)
        except (ImageError, OSError):
            return False
    if head[4:8] in _BOXES:
        return head[4:8] != b"ftyp" or head[8:12] not in _PICTURES
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI "
    # packets of a transport stream have 188 bytes, on cameras 4 more in front
    packets = any(head[at::step][:3] == b"GGG" for at, step in ((0, 188), (4, 192)))
    return head.startswith(_HEADS) or packets


def sample_frames(video: Video, count: int = 1, start: float = 0.0, end: float | None = None) -> list[Image.Image]:
    """Return frames spread evenly over a video: those on screen in the middle of each of `count` equal parts.

    One frame is the one in the middle, which is what SPHINX-X's paper shows a model of a video. What counts is when
    frames are shown, so that a varying frame rate does not matter; one that is on the screen for several parts is given
    for each. Frames are decoded one by one, and come upright (rotation and mirroring of the file's head applied)
    and with square pixels.

    Args:
        video: A path, or the bytes of a file.
        count: How many frames.
        start: Where the clip begins, in seconds from the first frame.
        end: Where it ends; None: at the end of the video.

    Raises:
        ImageError: No video, one that is broken or cut short, frames of more than `images.MAX_PIXELS` pixels, or a clip
            that is empty.
        MissingToolError: PyAV is not installed.
    """
    return list(_frames(video, range(count), count, start, end))


def sample_frame(
    video: Video, number: int, count: int = 1, start: float = 0.0, end: float | None = None
) -> Image.Image:
    """Return frame `number` (from 0) of those that `sample_frames` returns, without the others."""
    return next(_frames(video, [number], count, start, end))


def middle_frame(stream: BinaryIO, name: str) -> Image.Image:
    """Return the middle frame of an opened file. name: the file's, in messages."""
    timeline = _read_timeline(stream, name)
    stream.seek(0)
    return next(_decoded(stream, name, timeline.wanted(name, [0], 1, 0.0, None), timeline))


@dataclass(frozen=True, slots=True)
class Timeline:
    """When the frames of a video are shown, in ticks of its time base.

    Attributes:
        shown: When each frame appears, in order.
        keys: The same for frames that can be decoded without others.
        end: When the last frame ends.
        base: Seconds of a tick.
    """

    shown: Sequence[int]
    keys: Sequence[int]
    end: int
    base: Fraction

    @property
    def seconds(self) -> float:
        """The video's length."""
        return float((self.end - self.shown[0]) * self.base)

    def wanted(self, name: str, numbers: Sequence[int], count: int, start: float, end: float | None) -> list[int]:
        """Return the ticks of frames `numbers` of `count`. Raises `ImageError` for an empty clip."""
        if count < 1:
            raise ImageError(f"{name}: 1 frame at least, not {count}")
        stop = self.seconds if end is None else min(end, self.seconds)
        if not 0 <= start < stop:
            until = "its end" if end is None else f"{end:g} s"
            raise ImageError(f"{name}: nothing lies from {start:g} s to {until} of a video of {self.seconds:g} s")
        first, length = Fraction(start) / self.base, Fraction(stop - start) / self.base
        if end is None and start == 0:
            length = Fraction(self.end - self.shown[0])
        times = [self.shown[0] + first + (2 * number + 1) * length / (2 * count) for number in numbers]
        return [self.shown[bisect_right(self.shown, time) - 1] for time in times]


def read_timeline(video: Video) -> Timeline:
    """Return when the frames of a video are shown, without decoding any. Raises as `sample_frames` does."""
    if isinstance(video, bytes):
        return _read_timeline(io.BytesIO(video), "video bytes")
    with images.open_file(video, images.source_name(video)):
        pass
    facts = Path(video).stat()
    return _timeline_of_file(str(video), facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=64)  # several frames of a video are asked for one by one
def _timeline_of_file(path: str, size: int, changed: int) -> Timeline:
    name = images.source_name(path)
    with images.open_file(path, name) as stream:
        return _read_timeline(stream, name)


def _frames(video: Video, numbers: Sequence[int], count: int, start: float, end: float | None) -> Iterator[Image.Image]:
    name = "video bytes" if isinstance(video, bytes) else images.source_name(video)
    timeline = read_timeline(video)
    wanted = timeline.wanted(name, numbers, count, start, end)
    with io.BytesIO(video) if isinstance(video, bytes) else images.open_file(video, name) as stream:
        yield from _decoded(stream, name, wanted, timeline)


@contextlib.contextmanager
def _opened(stream: BinaryIO, name: str) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open the container and its video stream; FFmpeg's errors within become an `ImageError`."""
    with needs_extra("video", "reading videos"):
        import av
        from av.error import FFmpegError
        from av.stream import Disposition
    head = stream.read(1024)
    stream.seek(0)
    if not head:
        raise ImageError(f"{name}: is empty")
    if not is_video(head):
        raise ImageError(f"{name}: not a video of a known kind ({_SHOWN})")
    try:
        options = {"format_whitelist": ",".join(FORMATS)}
        with av.open(stream, "r", options=options, metadata_errors="replace") as container:
            # a song's cover is a video of one picture
            moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
            if not moving:
                raise ImageError(f"{name}: has no video in it, or is broken or cut short before one")
            codec: Any = moving[0].codec_context
            if codec is None:
                raise ImageError(f"{name}: is encoded in a way that FFmpeg does not know, or its head is broken")
            images.check_size(name, (codec.width, codec.height))
            moving[0].thread_type = "AUTO"
            yield container, moving[0]
    except FFmpegError as error:
        raise ImageError(f"{name}: a video that is broken or cut short ({error.strerror})") from error


def _read_timeline(stream: BinaryIO, name: str) -> Timeline:
    shown, keys, ends = array("q"), array("q"), {0: 0.0}
    last = (0, 0)
    with _opened(stream, name) as (container, video):
        for packet in container.demux():
            tick = packet.dts if packet.pts is None else packet.pts
            if tick is None or packet.time_base is None:
                continue
            stop = tick + (packet.duration or 0)
            begin = packet.stream.start_time or 0
            ends[packet.stream.index] = max(
                ends.get(packet.stream.index, 0.0), float((stop - begin) * packet.time_base)
            )
            if packet.stream.index != video.index or packet.is_discard:
                continue
            if packet.is_corrupt:
                raise ImageError(f"{name}: is cut short after {float(tick * packet.time_base):.1f} s")
            shown.append(tick)
            if packet.is_keyframe:
                keys.append(tick)
            last = max(last, (tick, packet.duration or 0))
        promised = (container.duration or 0) / 1_000_000
        base = video.time_base
    if not shown or base is None:
        raise ImageError(f"{name}: has no frames, or none with a time")
    held = max(ends.values())
    if held + _SLACK < promised * 0.98:
        raise ImageError(f"{name}: is cut short: {held:.1f} s of {promised:.1f} s")
    shown, keys = array("q", sorted(shown)), array("q", sorted(keys))
    # the last frame of a file that does not say how long it is shown lasts as long as the one before
    lasts = last[1] or (shown[-1] - shown[-2] if len(shown) > 1 else 1)
    return Timeline(shown, keys, shown[-1] + lasts, base)


def _decoded(stream: BinaryIO, name: str, wanted: Sequence[int], timeline: Timeline) -> Iterator[Image.Image]:
    """Decode the frames shown from some ticks on, in their order."""
    with _opened(stream, name) as (container, video):
        decoder = _Decoder(container, video, timeline)
        for tick in wanted:
            frame = decoder.at(tick)
            if frame is None or frame.is_corrupt:
                second = float((tick - timeline.shown[0]) * timeline.base)
                raise ImageError(f"{name}: the frame at {second:.1f} s cannot be decoded")
            yield _picture(frame, name, video.sample_aspect_ratio)


class _Decoder:
    """Decode onwards, jumping to a key frame where one lies between. Holds two frames at most."""

    def __init__(self, container: InputContainer, video: VideoStream, timeline: Timeline) -> None:
        self.container, self.video, self.timeline = container, video, timeline
        self.frames: Iterator[VideoFrame] = container.decode(video)
        self.held: VideoFrame | None = None
        self.next: VideoFrame | None = None

    def at(self, tick: int) -> VideoFrame | None:
        """Return the frame shown at a tick; None where it cannot be decoded."""
        keys = self.timeline.keys
        place = bisect_right(keys, tick) - 1
        now = self._now()
        if now is not None and now > tick:
            self._jump(self.timeline.shown[0])
        elif place >= 0 and keys[place] > (self.timeline.shown[0] if now is None else now):
            self._jump(keys[place])
            if self._now() is None or self._now() > tick:  # pyright: ignore[reportOptionalOperand]
                self._jump(self.timeline.shown[0])  # a container without an index jumps too far
        while self._advance(tick):
            pass
        return self.held

    def _now(self) -> int | None:
        """Return the tick of the current frame."""
        self.held = self.held or self._read()
        return None if self.held is None else self.held.pts

    def _read(self) -> VideoFrame | None:
        return next((frame for frame in self.frames if frame.pts is not None), None)

    def _jump(self, tick: int) -> None:
        self.container.seek(tick, stream=self.video)
        self.frames, self.held, self.next = self.container.decode(self.video), None, None

    def _advance(self, tick: int) -> bool:
        """Step to the next frame if it is shown by the tick."""
        self.held = self.held or self._read()
        if self.held is None or self.held.pts == tick:
            return False
        self.next = self.next or self._read()
        if self.next is None or self.next.pts is None or self.next.pts > tick:
            return False
        self.held, self.next = self.next, None
        return True


def _picture(frame: VideoFrame, name: str, aspect: Fraction | None) -> Image.Image:
    """Return a frame as an upright RGB image with square pixels."""
    images.check_size(name, (frame.width, frame.height))
    form = "rgba" if any(part.is_alpha for part in frame.format.components) else "rgb24"
    picture = Image.fromarray(frame.to_ndarray(format=form))
    if aspect and aspect != 1:  # DV and DVDs are stretched
        size = (max(1, round(picture.width * aspect)), picture.height)
        images.check_size(name, size)
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    turn = _turn(frame, name)
    return images.open_image(picture if turn is None else picture.transpose(turn))


def _turn(frame: VideoFrame, name: str) -> Image.Transpose | None:
    from av.sidedata.sidedata import Type

    side_data: Any = frame.side_data
    matrix = side_data.get(Type.DISPLAYMATRIX)
    if matrix is None:
        return None
    numbers = memoryview(bytes(matrix)).cast("i")
    # in units of 1/65536; rounding leaves a few at right angles
    a, b, c, d = ((numbers[place] > 64) - (numbers[place] < -64) for place in (0, 1, 3, 4))
    signs = (a, b, c, d)
    if signs not in _UPRIGHT:
        raise ImageError(f"{name}: is turned by an angle that is no quarter turn")
    return _UPRIGHT[signs]
