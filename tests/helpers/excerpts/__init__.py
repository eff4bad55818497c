"""Small hand-made excerpts of public data sets, each in the exact layout of its official release.

Every module has EXCERPTS: name of the set -> a function that writes the excerpt into a folder. Contents are made up.
"""

from excerpts import (
    agent,
    captions,
    charts,
    classification,
    detection,
    documents,
    grounding,
    instruction,
    layout,
    pose,
    science,
    spotting,
    text,
    vqa,
)

GROUPS = (
    text,
    detection,
    pose,
    classification,
    grounding,
    vqa,
    charts,
    documents,
    captions,
    instruction,
    layout,
    spotting,
    agent,
    science,
)
EXCERPTS = {name: write for group in GROUPS for name, write in group.EXCERPTS.items()}
