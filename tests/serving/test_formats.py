"""Answers in JSON of a schema: what is finished is valid, whatever the model would rather say."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Literal

import openai
import PIL.Image
import pytest
from pydantic import BaseModel, ConfigDict, Field

from deep_schemas import WAYS, try_chain
from processes import begin
from served import Served, body, message
from sphinx_x.inference import SphinxX
from sphinx_x.serving import formats
from sphinx_x.serving.formats import Formats
from sphinx_x.serving.limits import RefusedError

pytest.importorskip("llguidance", reason="needs llguidance (pip install 'sphinx-x[serve]')")

LINE = PIL.Image.new("RGB", (90, 30), "white")
OBJECT = {"type": "json_object"}


class Kind(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Place(Kind):
    name: Annotated[str, Field(max_length=5)]
    x: Annotated[int, Field(ge=0, le=9)]


class Page(Kind):
    title: Annotated[str, Field(max_length=6, pattern=r"^[a-zA-Z ]{0,6}$")]
    kind: Literal["page", "line", 'ä "quoted" ### one']
    places: Annotated[list[Place], Field(max_length=2)]
    sure: bool | None


class Flag(Kind):
    yes: bool


SCHEMAS = {"page": Page, "place": Place, "flag": Flag}


def schema(name):
    return {"type": "json_schema", "json_schema": {"name": name, "schema": SCHEMAS[name].model_json_schema()}}


@pytest.fixture(scope="module", params=["talker", "nano"])
def server(request, talker):
    """A random member, which says anything, and SPHINX-Nano, which reads lines."""
    with Served(talker if request.param == "talker" else SphinxX.load("nano"), name="tiny") as served:
        yield served


@pytest.fixture(scope="module")
def random(talker):
    with Served(talker) as served:
        yield served


def ask(served, form, **keys):
    keys = {"max_tokens": 200, **keys}
    return served.client().chat.completions.create(
        model="tiny", messages=message("Read the text.", LINE), response_format=form, **keys
    )


def once(pairs):
    assert len(dict(pairs)) == len(pairs), "a key comes once"
    return dict(pairs)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_finished_answer_is_valid(server, name):
    ways = [{"temperature": 0}] + [{"temperature": 1.5, "seed": seed} for seed in range(7)]
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda keys: ask(server, schema(name), **keys).choices[0], ways))
    for choice in got:
        assert choice.finish_reason in ("stop", "length")
        if choice.finish_reason == "stop":
            SCHEMAS[name].model_validate_json(choice.message.content)
            json.loads(choice.message.content, object_pairs_hook=once)
    assert sum(choice.finish_reason == "stop" for choice in got) >= 6
    assert len({choice.message.content for choice in got}) > 1


def test_any_object(server):
    for seed in range(4):
        choice = ask(server, OBJECT, temperature=2, seed=seed, max_tokens=100).choices[0]
        if choice.finish_reason == "stop":
            assert isinstance(json.loads(choice.message.content), dict)
        else:
            assert choice.message.content.startswith("{")


def test_the_length_is_told_where_it_cuts_an_answer_off(random):
    whole = ask(random, schema("page"))
    assert whole.choices[0].finish_reason == "stop"
    count = whole.usage.completion_tokens
    exact = ask(random, schema("page"), max_tokens=count)
    assert (exact.choices[0].message.content, exact.choices[0].finish_reason) == (
        whole.choices[0].message.content,
        "stop",
    )
    cut = ask(random, schema("page"), max_tokens=count - 1).choices[0]
    assert cut.finish_reason == "length" and whole.choices[0].message.content.startswith(cut.message.content)
    with pytest.raises(ValueError, match="line 1"):
        json.loads(cut.message.content)


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_pieces_of_a_stream_are_the_answer(random, seed):
    keys = {"temperature": 1.2, "seed": seed, "max_tokens": 400} if seed else {}
    whole = ask(random, schema("page"), **keys).choices[0]
    chunks = [chunk.choices[0] for chunk in ask(random, schema("page"), stream=True, **keys)]
    assert "".join(chunk.delta.content or "" for chunk in chunks) == whole.message.content
    assert chunks[-1].finish_reason == whole.finish_reason == "stop" and len(chunks) > 5


def test_neighbours_without_a_form_say_what_they_say_alone(random):
    def plain(number):
        return random.post(body(f"Question {number}", max_tokens=24)).json()["choices"][0]["message"]["content"]

    def formed(number):
        return ask(random, schema("page"), temperature=1.0, seed=number).choices[0].message.content

    alone = [plain(number) for number in range(6)], [formed(number) for number in range(6)]
    with ThreadPoolExecutor(12) as pool:
        together = pool.map(plain, range(6)), pool.map(formed, range(6))
        assert (list(together[0]), list(together[1])) == alone
    assert not any(text.startswith("{") for text in alone[0])


def test_the_client_parses_its_own_models(random):
    got = random.client().chat.completions.parse(
        model="tiny", messages=message("What?", LINE), response_format=Page, max_tokens=200
    )
    assert isinstance(got.choices[0].message.parsed, Page)
    with pytest.raises(openai.LengthFinishReasonError):
        random.client().chat.completions.parse(
            model="tiny", messages=message("What?", LINE), response_format=Page, max_tokens=3
        )


def test_a_text_that_ends_other_answers_may_stand_in_a_string(random, talker):
    end = talker.processor.prompt_builder().stop_text()
    for text in (end, "### ", "</s>", "<image>"):
        form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"const": f"a{text}b"}}}
        choice = ask(random, form).choices[0]
        assert (json.loads(choice.message.content), choice.finish_reason) == (f"a{text}b", "stop")


def test_log_probabilities_are_of_the_model_as_it_is(random):
    free = ask(random, {"type": "text"}, logprobs=True, top_logprobs=3, max_tokens=1).choices[0].logprobs.content[0]
    kept = ask(random, schema("flag"), logprobs=True, top_logprobs=3).choices[0]
    first = kept.logprobs.content[0]
    assert first.token == "{" and [top.logprob for top in first.top_logprobs] == [
        top.logprob for top in free.top_logprobs
    ]
    assert "".join(one.token for one in kept.logprobs.content) == kept.message.content


WRONG = [
    ({"type": "nothing"}, "nothing"),
    ({"not": {"type": "string"}}, "not"),
    ({"type": "array", "uniqueItems": True}, "uniqueItems"),
    ({"type": "array", "contains": {}}, "contains"),
    ({"if": {}, "then": {}}, "if"),
    ({"dependentRequired": {"a": ["b"]}}, "dependentRequired"),
    ({"unevaluatedProperties": False}, "unevaluatedProperties"),
    ({"propertyNames": {}}, "propertyNames"),
    ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, "oneOf"),
    ({"$dynamicRef": "#a"}, "dynamicRef"),
    ({"$ref": "#/$defs/none"}, "does not exist"),
    ({"$ref": "https://good.example/a.json"}, "does not fetch"),
    ({"$ref": "file:///etc/passwd"}, "file:///etc/passwd"),
    ({"enum": []}, "nsatisfiable"),
    ({"type": "object", "properties": {"a": False}, "required": ["a"]}, "nsatisfiable"),
    ({"$ref": "#"}, "no answer has"),
    ({"type": "string", "maxLength": "a"}, "maxLength"),
    ({"type": "string", "pattern": "(?=a)b"}, "look-around"),
    ({"type": "string", "pattern": "(" * 5000 + ")" * 5000}, "regex"),
    ({"type": "string", "format": "json-pointer"}, "json-pointer"),
    ({"type": "number", "minimum": 3, "exclusiveMinimum": True}, "exclusiveMinimum"),
    ({"type": "object", "minProperties": 2}, "minProperties"),
    ({"x-guidance": {"lenient": True}, "not": {}}, "x-guidance"),
    ({"allOf": [{"anyOf": [{"properties": {f"p{i}{j}": {}}} for j in range(9)]} for i in range(9)]}, "too large"),
    ({"description": "x" * 33_000}, "longer than"),
    ({"anyOf": [{"$ref": f"#/$defs/a{k}"} for k in range(101)]}, "101 different"),
]


@pytest.mark.parametrize(("wrong", "says"), WRONG, ids=[says for _, says in WRONG])
def test_what_a_schema_cannot_say_is_refused_by_its_reason(talker, wrong, says):
    with pytest.raises(RefusedError, match=says) as caught:
        Formats(talker).form(wrong)
    assert caught.value.status == 400 and caught.value.param == "response_format" and "\n" not in str(caught.value)


def test_a_wrong_schema_is_refused_over_http_and_stop_texts_beside_one(random):
    got = random.post(
        body(response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {"not": {}}}})
    )
    assert got.status_code == 400 and got.json()["error"]["param"] == "response_format"
    got = random.post(body(response_format=OBJECT, stop="}"))
    assert got.status_code == 400 and got.json()["error"]["param"] == "stop"
    assert random.post(body(response_format={"type": "text"}, stop="}", max_tokens=1)).status_code == 200
    assert random.idle()


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("taken", [False, True])
def test_an_intricate_schema_ends_its_answer_alone(random, monkeypatch, caplog, taken, watched):
    """What becomes too much work while an answer is generated, or before its first token, whether or not probabilities
    are kept."""
    take = formats.Form.take
    monkeypatch.setattr(random.service.engine, "_watch", watched)

    def fail(self, number):
        if taken:
            take(self, number)
        raise formats.FormatError("response_format: the schema is too intricate: x")

    plain = random.post(body("Hi", max_tokens=8)).json()["choices"]
    with ThreadPoolExecutor(2) as pool:
        monkeypatch.setattr(formats.Form, "take", fail)
        formed = pool.submit(random.post, body("Hi", LINE, response_format=OBJECT))
        assert random.post(body("Hi", max_tokens=8)).json()["choices"] == plain
        assert formed.result().status_code == 400 and "too intricate" in formed.result().json()["error"]["message"]
    assert random.idle() and not caplog.records


@pytest.mark.slow
@pytest.mark.parametrize("kind", WAYS)
def test_no_chain_of_references_ends_the_process(kind):
    """llguidance calls itself at each level: a stack that ends takes the server with it."""
    done = begin(try_chain, kind)
    out, err = done.communicate(timeout=300)
    assert done.returncode == 0 and "alive" in out, (done.returncode, out, err[-500:])
    assert "longer than" not in out
