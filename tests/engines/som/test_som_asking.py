"""The engine with a vision endpoint as its writer: what is wrong is asked again, then set aside, kind by kind."""

import json

import pytest

from som_asked import settings
from som_files import coco
from sphinx_x.data.shards import SampleReader
from sphinx_x.endpoints.spending import StopError
from sphinx_x.engines.som.asking import EndpointWriter
from sphinx_x.engines.som.engine import SomSettings, make_som
from sphinx_x.engines.som.readers import coco_source
from sphinx_x.sources.base import Raw
from sphinx_x.sources.convert import read_quarantine
from vision_endpoint import serve_vision


@pytest.fixture
def release(tmp_path):
    path = coco(tmp_path / "raw", images=6)
    return coco_source(path.name), Raw(tmp_path / "raw")


def made(release, out, url, cache, **more):
    writer = EndpointWriter(settings(url, **more), cache)
    return make_som(*release, out, SomSettings(shard_size=3), writer, workers=1, max_bad=1)


def test_an_endpoint_writes_the_samples(release, tmp_path):
    with serve_vision() as endpoint:
        tally = made(release, tmp_path / "out", endpoint.url, tmp_path / "cache")
        assert tally.samples == len(SampleReader(tmp_path / "out")) == 6 and not tally.set_aside
        calls = len(endpoint.calls)
        again = made(release, tmp_path / "again", endpoint.url, tmp_path / "cache")
        assert again == tally and len(endpoint.calls) == calls, "what was paid for is not asked again"
    first, second = (SampleReader(tmp_path / name) for name in ("out", "again"))
    assert [first[k].messages for k in range(6)] == [second[k].messages for k in range(6)]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["writer"] == "seer" and "key" not in json.dumps(report)


def test_a_kind_that_stays_wrong_costs_only_itself(release, tmp_path):
    def script(call):
        return "unknown-mark" if call.kind == "short" else "good"

    with serve_vision(script) as endpoint:
        tally = made(release, tmp_path / "out", endpoint.url, tmp_path / "cache")
        assert all(len(endpoint.of(call.question)) == 2 for call in endpoint.calls if call.kind == "short")
    aside = read_quarantine(tmp_path / "out")
    assert tally.samples == 6 and len(aside) == tally.bad == 6
    assert all(line["id"].endswith(" short") and line["reason"] for line in aside)


def test_the_cap_stops_the_run_and_more_money_goes_on(release, tmp_path):
    with serve_vision() as endpoint:
        with pytest.raises(StopError, match="cap"):
            made(release, tmp_path / "out", endpoint.url, tmp_path / "cache", cap=0.08)
        assert endpoint.bill <= 0.08
        paid = len(endpoint.answered())
        tally = made(release, tmp_path / "out", endpoint.url, tmp_path / "cache", cap=10.0)
        assert tally.samples == 6 and len(endpoint.calls) > paid
        assert len(set(endpoint.answered())) == len(endpoint.answered()), "nothing is paid twice"
