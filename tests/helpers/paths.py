"""Where things lie that several tests need."""

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
GOLDEN = TESTS / "golden"
REFERENCE = TESTS / "reference"
"""A small part of the reference's own numbers."""
EXAMPLE = ROOT / "examples" / "ledger-introduction.pdf"
