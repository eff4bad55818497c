"""The settings of SPHINX-Smol's data are what the engines take, and its recipe takes the sets that are made."""

import re

import pytest
import yaml

from paths import ROOT
from sphinx_x.engines.charts.engine import ChartSettings
from sphinx_x.engines.dialogues.engine import DialogueSettings
from sphinx_x.engines.documents.engine import DocumentSettings
from sphinx_x.engines.pictures.engine import PictureSettings
from sphinx_x.engines.screens.engine import ScreenSettings
from sphinx_x.recipe import load_recipe

FOLDER = ROOT / "examples/smol"
MODELS = {
    "charts": ChartSettings,
    "dialogues": DialogueSettings,
    "documents": DocumentSettings,
    "documents-held": DocumentSettings,
    "names": PictureSettings,
    "pictures": PictureSettings,
    "reads": DocumentSettings,
    "receipts": DocumentSettings,
    "scenes": PictureSettings,
    "screens": ScreenSettings,
}


@pytest.mark.parametrize("name", MODELS)
def test_settings_are_taken(name):
    given = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    settings = MODELS[name](**given).model_dump(mode="json")
    assert given.keys() <= settings.keys()


def test_each_settings_file_is_used_and_each_source_is_made():
    script = (FOLDER / "make_data.sh").read_text()
    assert set(re.findall(r"SETTINGS/([\w-]+)\.yaml", script)) == {path.stem for path in FOLDER.glob("*.yaml")}
    made = set(re.findall(r"-o \$DATA/([\w-]+)", script))
    sources = load_recipe("smol").sources
    assert {source.path.name for source in sources.values()} <= made
