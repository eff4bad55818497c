"""`sphinx-x chat` about a video, and the same from Python."""

import pytest

from commands import one_line, run
from sphinx_x.inference import SphinxX
from sphinx_x.video import sample_frames
from videos import make_video, need_av, seen


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    need_av()
    return make_video(tmp_path_factory.mktemp("video") / "clip.mp4")


@pytest.fixture
def shown(monkeypatch):
    """Takes the frames that models are shown."""
    found = []
    plain = SphinxX.prompt
    monkeypatch.setattr(
        SphinxX, "prompt", lambda self, asked, images, *rest: found.append(images) or plain(self, asked, images, *rest)
    )
    return found


def test_the_frame_in_the_middle_is_shown_and_named(clip, tiny_folder, shown, capsys):
    code, out, err = run("chat", clip, "What happens?", "-m", tiny_folder, "--max-new-tokens", "2", capsys=capsys)
    assert code == 0 and out.endswith("\n")
    assert "note: the model sees the frame in the middle of the video" in err
    assert [seen(picture) for picture in shown[0]] == [10]


def test_frames_are_as_many_as_asked_for(clip, tiny_folder, shown, capsys):
    command = ("chat", clip, "What happens?", "--frames", "4", "-m", tiny_folder, "--max-new-tokens", "2")
    code, _, err = run(*command, capsys=capsys)
    assert code == 0 and "note: the model sees" not in err
    assert [seen(picture) for picture in shown[0]] == [2, 7, 12, 17]


def test_python_takes_a_video_and_its_frames(clip, tiny, shown):
    length = {"max_new_tokens": 4}
    one = tiny.chat("What?", str(clip), **length)
    assert one == tiny.chat("What?", sample_frames(clip), **length) == tiny.chat_batch([("What?", clip)], **length)[0]
    assert tiny.chat("What?", clip.read_bytes(), **length) == one
    several = tiny.chat("What?", sample_frames(clip, 3), **length)
    assert several == tiny.chat_batch([("What?", sample_frames(clip, 3))], **length)[0]
    assert [seen(picture) for picture in shown[-1]] == [3, 10, 16]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("CLIP", "What?", "--frames", "2", "-m", "nano"), "takes one picture in a conversation, not 2"),
        (("-", "What?", "--frames", "2", "-m", "MODEL"), "--frames goes with a video"),
        (("PICTURE", "What?", "--frames", "2", "-m", "MODEL"), "--frames goes with a video"),
        (("CLIP", "What?", "--frames", "0", "-m", "MODEL"), "--frames"),
        (("CLIP", "What?", "--page", "2", "-m", "MODEL"), "there is no page 2"),
        (("CLIP", "What?", "--page", "2", "--frames", "3", "-m", "MODEL"), "there is no page 2"),
        (("CUT", "What?", "-m", "MODEL"), "broken or cut short"),
        (("CUT", "What?", "--frames", "2", "-m", "MODEL"), "broken or cut short"),
    ],
)
def test_what_cannot_be_shown_gets_one_line(arguments, says, clip, tiny_folder, tmp_path, capsys):
    from PIL import Image

    picture, cut = tmp_path / "picture.png", tmp_path / "cut.mp4"
    Image.new("RGB", (16, 16)).save(picture)
    cut.write_bytes(clip.read_bytes()[:1500])
    names = {"CLIP": clip, "PICTURE": picture, "CUT": cut, "MODEL": tiny_folder}
    code, out, err = run("chat", *(names.get(argument, argument) for argument in arguments), capsys=capsys)
    err = "".join(line for line in err.splitlines(keepends=True) if not line.startswith("note: "))
    assert code == 2 and out == "" and one_line(err) and says in err


def test_nano_refuses_a_frame_as_any_other_picture(tmp_path, capsys):
    """Frames of a camera are no lines of print: the same words as for a photograph."""
    from PIL import Image

    clip, picture = make_video(tmp_path / "clip.mp4", 3, size=(1280, 720)), tmp_path / "picture.png"
    Image.new("RGB", (1280, 720)).save(picture)
    code, _, err = run("chat", clip, "What happens?", capsys=capsys)
    assert code == 2 and err.splitlines()[-1] == run("chat", picture, "What happens?", capsys=capsys)[2].strip()
