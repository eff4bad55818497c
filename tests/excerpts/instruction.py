"""To come."""

EXCERPTS: dict = {}
