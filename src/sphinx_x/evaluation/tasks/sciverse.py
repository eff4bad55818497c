"""SciVerse: scientific problems in five versions, by how much knowledge and how much of the picture is in words."""

from sphinx_x.evaluation.chances import guessed_option
from sphinx_x.evaluation.measures import Grouped
from sphinx_x.evaluation.readers import reader
from sphinx_x.evaluation.task import UNVERIFIED, Files, Task
from sphinx_x.evaluation.tasks.mathverse import JUDGED, by_version, own_item, verdict

VERSIONS = ("Knowledge-free", "Knowledge-lite", "Knowledge-rich", "Vision-rich", "Vision-only")
TASKS = [
    Task(
        "sciverse",
        "SciVerse",
        {
            "test": Files(
                ("**/sciverse.json", "**/SciVerse.json"), ("**/sciverse/images", "**/SciVerse/images", "images"), 5735
            )
        },
        reader(own=own_item(VERSIONS)),
        verdict,
        Grouped(VERSIONS, by_version),
        max_new_tokens=128,
        chance=guessed_option,
        judging=JUDGED,
        address="https://sciverse-cuhk.github.io",
        layout=UNVERIFIED,
        paper={"": {"moe": 37.3}, "Vision-only": {"moe": 31.4}},
        note="the form of MathVerse's release is read, since no public description of this one was found; the paper's "
        "other columns are of uncertain order; the judge is asked in our own words",
    )
]
