"""Messages: read by one function, written as they were read."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages import dicts
from sphinx_x.conversation import Image, Message, MessageError, Place, Text, parse_messages
from sphinx_x.data.sample import Sample
from sphinx_x.errors import SampleError

NUMBER = st.integers(0, 500) | st.floats(0, 500, allow_subnormal=False)
POINT = st.tuples(NUMBER, NUMBER).map(list)
BOX = st.tuples(*[NUMBER] * 4).map(lambda n: [n[0], n[1], n[0] + n[2] + 1, n[1] + n[3] + 1])
PLACED = [("box", BOX), ("point", POINT), ("boxes", st.lists(BOX, min_size=1)), ("points", st.lists(POINT, min_size=1))]
PARTS = st.one_of(
    st.just({"type": "image"}),
    st.text().map(lambda text: {"type": "text", "text": text}),
    *(st.builds(lambda n, p, k=k: {"type": k, "image": n, k: p}, st.integers(0, 3), places) for k, places in PLACED),
)
CONTENT = st.lists(PARTS) | st.lists(st.sampled_from(["<image>", "a", " ", "<image", ">"])).map("".join)
TRUE = st.lists(st.text(), min_size=1, max_size=3)
MESSAGES = st.builds(
    lambda role, content, learned, true: (
        {"role": role, "content": content}
        | ({} if learned else {"train": False})
        | ({"references": true} if true and role == "assistant" else {})
    ),
    st.sampled_from(["system", "user", "assistant"]),
    CONTENT,
    st.booleans(),
    st.none() | TRUE,
)


@given(st.lists(MESSAGES, max_size=4))
def test_messages_are_written_as_they_were_read(messages):
    read = parse_messages(messages)
    assert repr(dicts(read)) == repr(messages), "numbers stay what they were: 3 is not 3.0"
    assert pickle.loads(pickle.dumps(read)) == read


def test_placeholders_stand_for_images_in_plain_text_only():
    plain, parts = parse_messages(
        [
            {"role": "user", "content": "a <image> b"},
            {"role": "user", "content": [{"type": "text", "text": "a <image> b"}]},
        ]
    )
    assert plain.parts == (Text("a "), Image(), Text(" b")) and parts.parts == (Text("a <image> b"),)


@pytest.mark.parametrize(
    ("message", "field", "reason"),
    [
        ({"role": "robot", "content": "a"}, "role", "must be one of system, user, assistant"),
        ({"role": "user", "content": "a", "name": "b"}, "name", "unknown field"),
        ({"role": "user", "content": "a", "train": 1}, "train", "must be true or false"),
        ({"role": "user", "content": "a", "references": ["b"]}, "references", "only answers have them"),
        *(
            (
                {"role": "assistant", "content": "a", "references": wrong},
                "references",
                "must be a non-empty list of texts",
            )
            for wrong in ("a", [], [1], None, {"a": "b"})
        ),
        ({"role": "user", "content": [{"type": "text", "text": "a", "b": 1}]}, "content[0].b", "unknown field"),
        ({"role": "user", "content": [{"type": "box", "box": [1, 1, 2]}]}, "box", "must be 4 numbers"),
        ({"role": "user", "content": [{"type": "box", "box": [2, 1, 2, 3]}]}, "box", "empty box: [2, 1, 2, 3]"),
        ({"role": "user", "content": [{"type": "points", "points": []}]}, "points", "must be a non-empty list"),
        (
            {"role": "user", "content": [{"type": "point", "image": 1, "point": [1, 1]}]},
            "point.image",
            "there is no such image: 1",
        ),
    ],
)
def test_a_wrong_message_is_told_alike_by_file_and_by_number(message, field, reason):
    said = {"role": "assistant", "content": "<image>"}
    with pytest.raises(MessageError) as error:
        parse_messages([said, message], images=1)
    assert str(error.value) == f"message 2: {field} {reason}"
    with pytest.raises(SampleError) as told:
        Sample.from_dict({"id": "a", "images": [{"path": "b"}], "messages": [said, message]}, "c.jsonl: line 3")
    assert str(told.value) == f"c.jsonl: line 3: messages[1].{field}: {reason}"


def test_places_move_and_keep_their_form():
    (message,) = parse_messages([{"role": "user", "content": [{"type": "boxes", "boxes": [[1, 2, 3, 4]]}]}])
    moved = message.moved(lambda part: part.moved(lambda place: [2 * n for n in place]))
    assert moved == Message("user", (Place(0, ((2, 4, 6, 8),)),))
    assert moved.to_dict()["content"] == [{"type": "boxes", "image": 0, "boxes": [[2, 4, 6, 8]]}]
