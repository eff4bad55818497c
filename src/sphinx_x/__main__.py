"""`python -m sphinx_x`: the same as `sphinx-x`, for `torchrun -m sphinx_x train RECIPE`."""

from sphinx_x.cli import main

if __name__ == "__main__":
    main()
