"""Errors that a user can cause, each in one line.

Every such error is a `SphinxXError`: the command line prints its one line and exits with code 2, and Python users catch
one type. Our own errors (a broken invariant) stay ordinary exceptions.
"""

from collections.abc import Iterator
from contextlib import contextmanager


def one_line(error: Exception) -> str:
    """Return another library's error message in one line of at most 200 characters; of OS errors only the reason."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200] or type(error).__name__


def plain(text: str, longest: int = 2000) -> str:
    """Return a text for the terminal: one line of printable characters, truncated after `longest`."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:longest])
    return shown if len(text) <= longest else f"{shown} ..."


class SphinxXError(Exception):
    """Base of all errors that a user can fix; its text is one line that says what is wrong and where."""


class ImageError(SphinxXError):
    """An image that is missing, broken, too large, or not an image."""


class PromptError(SphinxXError):
    """A conversation that cannot be encoded: an empty question, more images than placeholders, and the like."""


class DataError(SphinxXError):
    """A sample or a data file with invalid content."""


class SampleError(DataError):
    """One sample that is invalid.

    Attributes:
        where: File and line.
        field: The field in question, empty for the whole sample.
        reason: What is wrong, in words that are the same for all samples with this fault.
        detail: What is wrong in this sample in particular.
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
    """A tool, package or device that is not available on this machine."""


class UnsupportedError(SphinxXError):
    """A language model that cannot be trained the way training works here."""


@contextmanager
def needs_extra(extra: str, what: str) -> Iterator[None]:
    """Turn failed imports of optional packages into an error that names the extra to install.

    Use it as `with needs_extra("data", "reading Parquet"): import pyarrow`.

    Args:
        extra: The extra of this package that installs them.
        what: What they are needed for, as the beginning of the message.

    Raises:
        MissingToolError: One of them is not installed.
    """
    try:
        yield
    except ImportError as error:
        name = error.name or one_line(error)
        raise MissingToolError(f"{what} needs {name} (pip install 'sphinx-x[{extra}]')") from error
