"""What the processes of `processes` have imported when they begin."""

import sphinx_x.cli
import sphinx_x.data.show
import sphinx_x.evaluation.page
import sphinx_x.evaluation.report
import sphinx_x.evaluation.results
import sphinx_x.inference
import sphinx_x.training.trainer  # noqa: F401
