"""Files of settings: YAML in which nothing is lost in silence."""

from __future__ import annotations

from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """A loader that refuses a key that occurs twice, of which YAML would keep the last."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """See the base class; called once for each mapping, before the keys of others are merged into it."""
        seen = set[str]()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} is there twice", problem_mark=key.start_mark)
            seen.add(str(key.value))
        super().flatten_mapping(node)


def load_yaml(text: str) -> Any:
    """Return what a YAML text says; a key that occurs twice is a `yaml.YAMLError`, like everything malformed."""
    return yaml.load(text, _Loader)
