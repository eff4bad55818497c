"""The visual experts, one file each with its configuration and its module. A new file here is found automatically."""

import importlib
import pkgutil

from sphinx_x.model.experts.base import Expert, ExpertConfig, build_expert, find_expert, read_expert, register

__all__ = ["Expert", "ExpertConfig", "build_expert", "find_expert", "read_expert", "register"]

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
