"""Frames of videos that the tests make: which one is shown when is known by construction."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sphinx_x import images
from sphinx_x.errors import ImageError
from sphinx_x.images import open_image, picture_size
from sphinx_x.video import is_video, read_timeline, sample_frame, sample_frames
from videos import make_video, need_av, seen

RED, GREEN, BLUE, WHITE = (250, 20, 20), (20, 250, 20), (20, 20, 250), (240, 240, 240)
KINDS = {
    "mp4": {},
    "mov": {},
    "mkv": {},
    "webm": {"codec": "libvpx-vp9"},
    "avi": {"codec": "mpeg4", "bf": "2"},
    "ts": {"codec": "mpeg2video", "g": "5", "bf": "2"},
    "flv": {"codec": "flv"},
}


@pytest.fixture(scope="module", autouse=True)
def _tool():
    need_av()


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """20 frames in 2 seconds, a key frame every 4."""
    return make_video(tmp_path_factory.mktemp("video") / "clip.mp4", g="4")


@pytest.mark.parametrize("ending", KINDS)
def test_every_kind_gives_the_frames_in_the_middle_of_equal_parts(tmp_path, ending):
    path = make_video(tmp_path / f"clip.{ending}", **KINDS[ending])
    assert is_video(path) and is_video(path.read_bytes())
    # 4 parts of 5 frames: their middles lie half-way through frames 2, 7, 12, 17
    assert [seen(frame) for frame in sample_frames(path, 4)] == [2, 7, 12, 17]
    assert [seen(frame) for frame in sample_frames(path.read_bytes(), 20)] == list(range(20))


def test_a_program_stream_is_sampled_by_the_times_in_it(tmp_path):
    path = make_video(tmp_path / "clip.mpg", codec="mpeg2video", rate=25)
    with need_av().open(str(path)) as file:  # its writer leaves a gap before frame 17
        times = [frame.time for frame in file.decode(video=0)]
    step = (times[-1] + 0.04 - times[0]) / 8
    middles = [times[0] + (part + 0.5) * step for part in range(8)]
    expected = [max(number for number, time in enumerate(times) if time <= middle) for middle in middles]
    assert [seen(frame) for frame in sample_frames(path, 8)] == expected


def test_one_frame_is_the_one_in_the_middle_as_in_the_paper(clip):
    assert [seen(frame) for frame in sample_frames(clip)] == [10]
    assert all(seen(sample_frames(clip, count)[count // 2]) == 10 for count in (3, 5, 7))
    assert seen(open_image(clip)) == seen(open_image(clip.read_bytes())) == 10
    assert picture_size(clip) == (64, 48)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_varying_frame_rate_is_sampled_by_time(tmp_path, ending):
    # on the screen: frame 0 until 0.1 s, 1 until 0.12, 2 until 3, 3 until 3.05, 4 from then on
    path = make_video(tmp_path / f"clip.{ending}", 5, times=[0, 100, 120, 3000, 3050])
    assert [seen(frame) for frame in sample_frames(path, 3)] == [2, 2, 2]
    # parts of a twentieth of a second: middles at 0.025, 0.075, 0.125, ... 3.025, 3.075 s
    assert [seen(frame) for frame in sample_frames(path, 61, end=3.05)] == [0, 0, *[2] * 58, 3]
    assert seen(sample_frames(path, 1, start=0.1, end=0.12)[0]) == 1


def test_frames_one_by_one_are_those_of_the_whole(clip):
    generator = np.random.default_rng(0)
    for case in range(40):
        count, start = int(generator.integers(1, 40)), float(generator.uniform(0, 1.9)) if case % 4 else 0.0
        end = start + float(generator.uniform(0.01, 2)) if case % 3 else None
        together = [seen(frame) for frame in sample_frames(clip, count, start, end)]
        step = ((2.0 if end is None else min(end, 2.0)) - start) / count
        # ten frames a second
        assert together == [int(10 * (start + (number + 0.5) * step)) for number in range(count)]
        number = int(generator.integers(count))
        assert seen(sample_frame(clip, number, count, start, end)) == together[number]


def test_clips_outside_of_a_video_are_refused(clip):
    for start, end in ((2.5, 3), (1, 1), (1, 0.5), (-1, 1), (2.0, None)):
        with pytest.raises(ImageError, match=r"nothing lies from .* of a video of 2 s"):
            sample_frames(clip, 2, start, end)
    with pytest.raises(ImageError, match="1 frame at least, not 0"):
        sample_frames(clip, 0)


def corners() -> np.ndarray:
    """Red at the top left, green at the top right, blue at the bottom left, white at the bottom right; 64 x 48."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32], picture[:24, 32:], picture[24:, :32], picture[24:, 32:] = RED, GREEN, BLUE, WHITE
    return picture


def named(picture: Image.Image) -> str:
    """The colours of the corners, in the order of reading."""
    width, height = picture.size
    places = [(x, y) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    colours = {"R": RED, "G": GREEN, "B": BLUE, "W": WHITE}
    found = ""
    for place in places:
        pixel = np.array(picture.getpixel(place), int)
        found += min(colours, key=lambda name: int(np.abs(pixel - colours[name]).sum()))
    return found


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        # the picture's right goes to (a, b), its bottom to (c, d); y counts downwards
        ((1, 0, 0, 1), "RGBW"),
        ((0, 1, -1, 0), "BRWG"),  # a quarter clockwise: a phone held upright
        ((-1, 0, 0, -1), "WBGR"),
        ((0, -1, 1, 0), "GWRB"),
        ((-1, 0, 0, 1), "GRWB"),  # a mirror
        ((1, 0, 0, -1), "BWRG"),
        ((0, 1, 1, 0), "RBGW"),
        ((0, -1, -1, 0), "WGBR"),
    ],
)
def test_frames_are_turned_upright(tmp_path, matrix, expected):
    path = make_video(tmp_path / "clip.mp4", [corners()] * 3, matrix=matrix, form="yuv444p")
    frame = sample_frames(path)[0]
    assert named(frame) == expected
    assert frame.size == ((48, 64) if matrix[0] == 0 else (64, 48))


def test_a_slanted_video_is_refused(tmp_path):
    path = make_video(tmp_path / "clip.mp4", 3, matrix=(1, 1, -1, 1))
    with pytest.raises(ImageError, match="no quarter turn"):
        sample_frames(path)


def test_pixels_are_made_square(tmp_path):
    path = make_video(tmp_path / "clip.mkv", 3, aspect=Fraction(3, 2))
    assert sample_frames(path)[0].size == (96, 48)


def test_one_frame_is_a_video_too(tmp_path):
    path = make_video(tmp_path / "clip.mp4", 1)
    assert [seen(frame) for frame in sample_frames(path, 3)] == [0, 0, 0]


@pytest.mark.parametrize("ending", ["mp4", "webm", "mkv"])
def test_a_video_that_is_cut_short_is_refused_and_not_taken_for_a_shorter_one(tmp_path, ending):
    noise = list(np.random.default_rng(0).integers(0, 256, (30, 48, 64, 3), dtype=np.uint8))
    front = {"movflags": "faststart"} if ending == "mp4" else {}
    path = make_video(tmp_path / f"clip.{ending}", noise, container=front, **KINDS[ending])
    content = path.read_bytes()
    for share in (0.3, 0.6, 0.8):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(ImageError, match=f"{path.name}: .*cut short") as told:
            sample_frames(path)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi"])
def test_damaged_bytes_give_frames_or_one_line(tmp_path, ending):
    content = make_video(tmp_path / f"clip.{ending}", **KINDS[ending]).read_bytes()
    generator = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(content)
        for place in generator.integers(4, len(content), generator.choice((1, 5, 50))):
            damaged[place] = generator.integers(256)
        try:
            assert len(sample_frames(bytes(damaged), 2)) == 2
        except ImageError as error:
            assert "\n" not in str(error)


def test_what_is_no_video_is_refused_in_one_line(tmp_path, clip):
    path = tmp_path / "clip.mp4"
    for content, message in (
        (b"", "is empty"),
        (b"hello" * 100, "not a video of a known kind"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a video of a known kind"),
        (clip.read_bytes()[:40], "broken or cut short"),
        (clip.read_bytes()[:32] + bytes(4000), "broken or cut short"),
    ):
        path.write_bytes(content)
        with pytest.raises(ImageError, match=message) as told:
            sample_frames(path)
        assert "\n" not in str(told.value) and str(path) in str(told.value)
    for missing, message in ((tmp_path / "none.mp4", "no such file"), (tmp_path, "is a folder")):
        with pytest.raises(ImageError, match=message):
            sample_frames(missing)
    with pytest.raises(ImageError, match="addresses are not fetched"):
        sample_frames("https://example.org/clip.mp4")


def test_playlists_open_no_other_file(tmp_path, clip):
    for head in (f"#EXTM3U\n#EXTINF:2,\n{clip}\n#EXT-X-ENDLIST\n", f"ffconcat version 1.0\nfile {clip}\n"):
        path = tmp_path / "list.mp4"
        path.write_text(head)
        assert not is_video(path)
        with pytest.raises(ImageError, match="not a video of a known kind"):
            sample_frames(path)


def test_a_song_with_a_cover_is_no_video(tmp_path):
    av = need_av()
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 16000
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    with pytest.raises(ImageError, match="has no video in it"):
        sample_frames(path)


def test_a_huge_frame_is_refused_before_it_is_decoded(clip, monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 64 * 48 - 1)
    with pytest.raises(ImageError, match="64 x 48 = 3,072 pixels are more than the limit"):
        sample_frames(clip.read_bytes())


def test_pictures_stay_pictures(tmp_path):
    for ending in ("png", "gif", "webp", "avif"):
        path = tmp_path / f"picture.{ending}"
        Image.new("RGB", (8, 8), "red").save(path)
        assert not is_video(path)
    assert not is_video(tmp_path / "none") and not is_video(tmp_path)


def test_a_video_has_one_page(clip):
    with pytest.raises(ImageError, match="there is no page 2"):
        open_image(clip, page=2)


def test_the_timeline_tells_how_long_a_video_is(clip):
    timeline = read_timeline(clip)
    assert timeline.seconds == 2.0 and len(timeline.shown) == 20 and len(timeline.keys) == 5


def test_only_what_is_asked_for_is_decoded(clip, monkeypatch):
    from sphinx_x import video

    read = []
    plain = video._Decoder._read
    monkeypatch.setattr(video._Decoder, "_read", lambda self: read.append(1) or plain(self))
    assert seen(sample_frame(clip, 18, 20)) == 18
    assert len(read) < 8  # frame 16 is a key frame
