"""What a user did wrong, in one line.

Every error that a user can cause is a `SphinxXError`: the command line prints its one line and leaves with
exit code 2, Python users catch one type. Errors of our own (a broken invariant) stay ordinary exceptions.
"""

from collections.abc import Iterator
from contextlib import contextmanager


def one_line(error: Exception) -> str:
    """What an error of others says, on one line of at most 200 characters; of the system's errors only the reason."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200] or type(error).__name__


def plain(text: str, longest: int = 2000) -> str:
    """A text for the terminal: one line of what can be printed, cut where it is endless."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:longest])
    return shown if len(text) <= longest else f"{shown} ..."


class SphinxXError(Exception):
    """Base of all errors a user can mend; its text is one line that says what is wrong and where."""


class ImageError(SphinxXError):
    """An image that is missing, broken, too large, or not an image."""


class PromptError(SphinxXError):
    """A conversation that cannot be written: empty question, more images than placeholders, and the like."""


class DataError(SphinxXError):
    """A sample or a data file that does not hold what it should."""


class SampleError(DataError):
    """One sample that is not what it should be.

    where: file and line; field: in it, empty for the whole; reason: what is wrong, in words that are the same for all
    samples of which it is true; detail: what is wrong in this one.
    """

    def __init__(self, where: str, field: str, reason: str, detail: str = "") -> None:
        super().__init__(": ".join(part for part in (where, field, reason, detail) if part))
        self.where, self.field, self.reason, self.detail = where, field, reason, detail

    def __reduce__(self) -> tuple:
        return type(self), (self.where, self.field, self.reason, self.detail)


class RecipeError(SphinxXError):
    """A recipe with a wrong or unknown field."""


class CheckpointError(SphinxXError):
    """A model folder or a training state with missing or altered files."""


class MissingToolError(SphinxXError):
    """A tool, package or device that this machine does not have."""


class UnsupportedError(SphinxXError):
    """A language model that cannot be trained in the way that training works here."""


@contextmanager
def needs_extra(extra: str, what: str) -> Iterator[None]:
    """Imports of packages that only some need: `with needs_extra("data", "reading Parquet"): import pyarrow`.

    Args:
        extra: The extra of this package that brings them.
        what: What they are for, as the beginning of the message.

    Raises:
        MissingToolError: One of them is not installed.
    """
    try:
        yield
    except ImportError as error:
        name = error.name or one_line(error)
        raise MissingToolError(f"{what} needs {name} (pip install 'sphinx-x[{extra}]')") from error
