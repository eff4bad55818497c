"""Charts: tables are found in files, texts lie where the boxes say, values are those of the table."""

import io
import json
import random

import numpy as np
import pytest
from PIL import Image

from commands import run
from sphinx_x.data.shards import SampleReader
from sphinx_x.engines.charts.draw import choose, draw_chart, rounded, written
from sphinx_x.engines.charts.engine import ChartSettings, make_chart, make_charts
from sphinx_x.engines.charts.tables import Table, read_tables, tables_of
from sphinx_x.errors import DataError

TOWNS = "Town,Residents,Schools,Code\n" + "".join(
    f"{name},{count},{schools},x\n"
    for name, count, schools in (
        ("Alm", 1200, 3), ("Berk", 4500, 8), ("Corve", 300, 1), ("Dorn", 2750, 6), ("Esk", 980, 2), ("Furth", 5100, 9),
    )
)  # fmt: skip
YEARS = "Year,Sales\n" + "".join(f"{year},{(year - 1990) ** 2 + 7}\n" for year in range(1991, 2006))
KINDS = "Kind,Weight\n" + "".join(f"{kind},{k + n}\n" for k, kind in enumerate(["ant", "bee", "fly"]) for n in range(4))


@pytest.fixture
def tables(tmp_path):
    pytest.importorskip("matplotlib", reason="it draws the charts: pip install 'sphinx-x[data]'")
    folder = tmp_path / "tables"
    folder.mkdir()
    for name, text in (("towns", TOWNS), ("years", YEARS), ("kinds", KINDS), ("words", "a,b\nx,y\nz,w\n")):
        (folder / f"{name}.csv").write_text(text)
    return folder


def test_labels_numbers_years_and_groups_are_found():
    (towns,) = tables_of(TOWNS, "towns")
    assert towns.key == "Town" and [head for head, _ in towns.columns] == ["Residents", "Schools"] and not towns.ordered
    (years,) = tables_of(YEARS, "years")
    assert years.ordered and years.labels[0] == "1991" and years.columns[0][1][0] == 8
    (kinds,) = tables_of(KINDS, "kinds")
    assert kinds.labels == ("ant", "bee", "fly") and kinds.columns == (("mean Weight", (1.5, 2.5, 3.5)),)
    panel = "Town,Year,Sales\n" + "".join(
        f"{t},{y},{y - 2000 + n}\n" for n, t in enumerate("AB") for y in (2003, 2002, 2001)
    )
    (means,) = tables_of(panel, "panel")
    assert means.ordered and means.labels == ("2001", "2002", "2003")
    assert means.columns == (("mean Sales", (1.5, 2.5, 3.5)),), "a line needs one value a year"
    assert tables_of("a,b\n1,2\n", "short") == [] and tables_of("a,b\nx,y\nz,w\nq,r\n", "words") == []


def test_files_without_a_table_are_named(tables, tmp_path):
    (tables / "odd.csv").write_bytes(b"\xff\xfe\x00")
    assert dict(read_tables(tables).left_out) == {
        "odd.csv": "not a table in UTF-8",
        "words.csv": "no labels with numbers",
    }
    (tmp_path / "none").mkdir()
    for folder, says in ((tmp_path / "none", "no CSV or TSV file"), (tmp_path / "gone", "no such folder of tables")):
        with pytest.raises(DataError, match=says):
            read_tables(folder)


@pytest.mark.parametrize(("value", "says"), [(1234.5, "1,230"), (0.012345, "0.0123"), (-3.0, "-3"), (56.75, "56.8")])
def test_values_have_three_digits(value, says):
    assert written(rounded(value)) == says


def test_values_are_those_of_the_table_and_texts_are_in_their_boxes(tables):
    found = read_tables(tables)
    numbers = {
        (head, label): value
        for table in found.tables
        for head, values in table.columns
        for label, value in zip(table.labels, values, strict=True)
    }
    kinds = set()
    for number in range(8):
        made = make_chart(number, ChartSettings(seed=3), found)
        kinds.add(made.kind)
        grey = np.asarray(Image.open(io.BytesIO(made.picture)).convert("L")).astype(int)
        for word in made.drawing.words:
            x1, y1, x2, y2 = (round(n) for n in word.box)
            part = grey[y1:y2, x1:x2]
            assert part.max() - part.min() > 60, f"{word.text} is not in its box"
        for fact in made.drawing.facts:
            if fact.about:
                assert float(fact.value.replace(",", "")) == rounded(
                    numbers[fact.name.removeprefix("cell:"), fact.about]
                )
                assert made.drawing.words[fact.words[0]].text == (fact.value if fact.printed else fact.about)
    assert len(kinds) >= 3


def test_a_chart_does_not_depend_on_the_users_own_style(tables):
    """Nor are dollars in a name the marks of a formula."""
    import matplotlib

    (tables / "prices.csv").write_text("Good,Sales ($),Cost ($)\nTea,10,20\nRice,15,22\nSalt,30,11\nOats,12,14\n")
    found = read_tables(tables)
    plain = [make_chart(number, ChartSettings(seed=2), found) for number in range(6)]
    style = {"savefig.bbox": "tight", "axes.titlesize": 30, "text.parse_math": True, "axes.labelcolor": "red"}
    with matplotlib.rc_context(style):
        again = [make_chart(number, ChartSettings(seed=2), found) for number in range(6)]
    assert [one.picture for one in plain] == [one.picture for one in again]


def test_what_cannot_be_read_in_a_chart_is_not_drawn(tables):
    (tables / "cities.csv").write_text("City,People\n\u6771\u4eac,14\n\u5927\u962a,9\n\u540d\u53e4\u5c4b,2\n")
    assert dict(read_tables(tables).left_out)["cities.csv"] == "characters that the fonts of charts do not have"
    tiny = Table("tests", "Test", ("a1", "b2", "c3"), (("Chance", (3.2e-11, 0.5, 0.25)),), False)
    with pytest.raises(DataError, match="too small to be written"):
        for seed in range(9):
            draw_chart(random.Random(seed), tiny)


def test_nothing_is_first_or_below_in_a_pie(tables):
    (kinds,) = tables_of("Kind,Weight\nant,10\nbee,20\nfly,31\nowl,44\n", "kinds")
    orders = {}
    for seed in range(40):
        kind, drawing, _ = draw_chart(random.Random(seed), kinds)
        orders[kind] = drawing.orders
    assert orders["pie"] == () and set(orders["bar"]) == {"first", "last", "after"}


def test_the_numbers_of_the_axis_of_values_are_among_the_texts(tables):
    """Their places are in proportion to them, and no value lies far beyond them."""
    found = read_tables(tables)
    kinds = set()
    for number in range(12):
        made = make_chart(number, ChartSettings(seed=5), found)
        facts = made.drawing.facts
        told = {k for fact in [*facts, *made.drawing.listed] for k in fact.words}
        scale = [word for k, word in enumerate(made.drawing.words) if k not in told]
        if made.kind == "pie":
            assert not scale
            continue
        kinds.add(made.kind)
        across = made.kind == "horizontal bar"
        numbers = np.array([float(word.text) for word in scale])
        places = np.array(
            [(word.box[0] + word.box[2]) / 2 if across else (word.box[1] + word.box[3]) / 2 for word in scale]
        )
        assert len(scale) >= 3
        slope, start = np.polyfit(numbers, places, 1)
        assert np.abs(slope * numbers + start - places).max() < 1.5 and (slope > 0) == across
        step = numbers[1] - numbers[0]
        values = [float(fact.value.replace(",", "")) for fact in facts if fact.about]
        assert numbers.min() - step < min(values) and max(values) < numbers.max() + step
    assert kinds == {"bar", "horizontal bar", "line"}


def test_a_part_of_a_table_has_columns_of_one_size():
    (towns,) = tables_of(TOWNS, "towns")
    for seed in range(20):
        chosen = choose(random.Random(seed), towns)
        assert len(chosen.series) == 1, "residents and schools do not fit on one axis"
        assert set(chosen.absent).isdisjoint(chosen.labels)


def test_the_same_bytes_for_any_number_of_workers(tables, tmp_path, capsys):
    settings = ChartSettings(count=5, shard_size=2, seed=1, licence="CC0-1.0")
    for workers in (1, 2):
        make_charts(tables, tmp_path / str(workers), settings, workers)
    for name in ("charts-00000.tar", "charts-00002.jsonl", "charts-00001.jsonl"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    reader = SampleReader(tmp_path / "1")
    assert {reader[k].licence for k in range(5)} == {"CC0-1.0"} and reader[0].check().task == "charts"
    assert all(any(region["answers"] for region in reader[k].regions) for k in range(5))
    report = json.loads((tmp_path / "1" / "report.json").read_text())
    assert report["drawn_from"] == ["kinds", "towns", "years"] and "words.csv" in report["files_left_out"]
    (tables / "years.csv").write_text(YEARS + "2006,1\n")
    with pytest.raises(DataError, match="something else"):
        make_charts(tables, tmp_path / "1", settings, 1)
    code, said, err = run("data", "charts", tables, "-o", tmp_path / "out", "--count", 2, "--workers", 1, capsys=capsys)
    assert code == 0 and "2 samples" in said, err
    code, _, err = run("data", "charts", tmp_path / "gone", "-o", tmp_path / "x", capsys=capsys)
    assert code == 2 and "no such folder of tables" in err and err.count("\n") == 1
