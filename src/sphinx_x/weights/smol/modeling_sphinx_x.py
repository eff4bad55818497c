"""A SPHINX-X model: its code is the package sphinx-x (pip install sphinx-x), which this file asks for."""

try:
    from sphinx_x.model.config import SphinxXConfig
    from sphinx_x.model.modeling import SphinxXForConditionalGeneration, SphinxXModel
    from sphinx_x.model.processing import SphinxXImageProcessor, SphinxXProcessor
except ModuleNotFoundError as error:
    if error.name != "sphinx_x":
        raise
    raise ImportError("this is a SPHINX-X model, and its package is missing: pip install sphinx-x") from error

__all__ = [
    "SphinxXConfig",
    "SphinxXForConditionalGeneration",
    "SphinxXImageProcessor",
    "SphinxXModel",
    "SphinxXProcessor",
]
