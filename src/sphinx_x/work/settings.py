"""Files of settings: YAML in which nothing is lost in silence."""

from __future__ import annotations

from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """A loader that refuses a key that occurs twice, of which YAML would keep the last."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """See the base class; called once for each mapping as it is written, before others are merged into it."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set[str]()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} is there twice", problem_mark=key.start_mark)
            seen.add(str(key.value))
        return node


def load_yaml(text: str) -> Any:
    """Return what a YAML text says; a key that occurs twice is a `yaml.YAMLError`, like everything malformed."""
    return yaml.load(text, _Loader)
