"""`python -m sphinx_x.cli`."""

from sphinx_x.cli import main

main()
