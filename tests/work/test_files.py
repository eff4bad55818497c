"""What is written is whole or not there, also when the writer dies in the middle."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sphinx_x.errors import CheckpointError, DataError, SphinxXError
from sphinx_x.work import files as jobs
from sphinx_x.work.files import (
    alone_in,
    append_line,
    atomic_folder,
    check_manifest,
    read_lines,
    recover_folder,
    sha256,
    write_atomic,
    write_manifest,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def syncs(monkeypatch) -> list[str]:
    """Records the order of what reaches the disk: names of fsynced files and folders, and renames."""
    events = []
    real_fsync, real_rename, real_replace = os.fsync, Path.rename, Path.replace

    def fsync(descriptor):
        events.append("sync " + Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        real_fsync(descriptor)

    def rename(self, target):
        events.append(f"rename {self.name} {Path(target).name}")
        return real_rename(self, target)

    def replace(self, target):
        events.append(f"rename to {Path(target).name}")
        return real_replace(self, target)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc to name open files")
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", rename)
    monkeypatch.setattr(Path, "replace", replace)
    return events


def killed(code: str, *arguments: object) -> None:
    """Runs code in a process of its own that kills itself with SIGKILL."""
    head = "import os, signal, sys\nfrom pathlib import Path\nfrom sphinx_x.work import files as jobs\n"
    head += "die = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
    path = os.pathsep.join([str(Path(jobs.__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", head + code, *map(str, arguments)]
    assert subprocess.run(command, env={**os.environ, "PYTHONPATH": path}).returncode == -signal.SIGKILL


# write_atomic


def test_write_text_bytes_and_folders(tmp_path):
    path = tmp_path / "new" / "folder" / "file"
    write_atomic(path, "Größe\n")
    assert path.read_bytes() == "Größe\n".encode()
    write_atomic(str(path), b"\0\1")
    assert path.read_bytes() == b"\0\1"
    assert names(path.parent) == ["file"]


def test_written_file_has_ordinary_permissions(tmp_path):
    write_atomic(tmp_path / "a", "")
    (tmp_path / "b").touch()
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "b").stat().st_mode)


def test_order_of_an_atomic_write(tmp_path, syncs):
    write_atomic(tmp_path / "file", "new")
    assert [event.split()[0] for event in syncs] == ["sync", "rename", "sync"]
    assert syncs[0].endswith(".tmp")
    assert syncs[1:] == ["rename to file", f"sync {tmp_path.name}"]


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomic(path, "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_function_writes_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file"
    write_atomic(path, lambda file: file.writelines([b"a", b"b"]))
    assert path.read_bytes() == b"ab"

    def breaks(file):
        file.write(b"half")
        raise ValueError("broken source")

    with pytest.raises(ValueError, match="broken source"):
        write_atomic(path, breaks)
    assert path.read_bytes() == b"ab"
    assert names(tmp_path) == ["file"]


def test_killed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    write_atomic(path, "old")
    killed("os.fsync = die; jobs.write_atomic(sys.argv[1], 'new')", path)
    assert path.read_text() == "old"


# atomic_folder


def test_new_folder_appears_at_the_end(tmp_path):
    path = tmp_path / "out" / "model"
    with atomic_folder(path) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "a").write_text("1")
        assert folder.parent == path.parent
        assert not path.exists()
    assert (path / "sub" / "a").read_text() == "1"
    assert names(path.parent) == ["model"]


def test_old_folder_is_replaced_whole(tmp_path):
    path = tmp_path / "model"
    for name in ("first", "second"):
        with atomic_folder(path) as folder:
            assert names(folder) == []
            (folder / name).touch()
    assert names(path) == ["second"]
    assert names(tmp_path) == ["model"]


def test_order_of_a_replacement(tmp_path, syncs):
    path = tmp_path / "model"
    path.mkdir()
    with atomic_folder(path) as folder:
        (folder / "a").touch()
    old, new = syncs.index("rename model .model.old"), syncs.index("rename .model.tmp model")
    assert syncs.index("sync a") < old < new
    assert syncs.index("sync .model.tmp") < old
    assert syncs[new + 1] == f"sync {tmp_path.name}"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_error_in_the_block_changes_nothing(tmp_path, error):
    path = tmp_path / "model"
    with atomic_folder(path) as folder:
        (folder / "old").touch()
    with pytest.raises(error), atomic_folder(path) as folder:
        (folder / "new").touch()
        raise error
    assert names(path) == ["old"]
    assert names(tmp_path) == ["model"]


def test_failed_rename_brings_the_old_folder_back(tmp_path, monkeypatch):
    path = tmp_path / "model"
    with atomic_folder(path) as folder:
        (folder / "old").touch()
    real = Path.rename

    def rename(self, target):
        if self.name == ".model.tmp":
            raise OSError(5, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match="Input"), atomic_folder(path) as folder:
        (folder / "new").touch()
    assert names(path) == ["old"]
    assert names(tmp_path) == ["model"]


REPLACE = """
real = Path.rename
def rename(self, target):
    if sys.argv[2] == "before" and self.name == ".model.tmp":
        die()
    real(self, target)
    if sys.argv[2] == "after" and self.name == ".model.tmp":
        die()
Path.rename = rename
with jobs.atomic_folder(sys.argv[1]) as folder:
    (folder / "new").touch()
    if sys.argv[2] == "block":
        die()
"""


@pytest.mark.parametrize(("moment", "kept"), [("block", "old"), ("before", "old"), ("after", "new")])
@pytest.mark.parametrize("then", ["recover", "write"])
def test_kill_at_any_moment(tmp_path, moment, kept, then):
    path = tmp_path / "model"
    with atomic_folder(path) as folder:
        (folder / "old").touch()
    killed(REPLACE, path, moment)
    if then == "recover":
        assert recover_folder(path) == path.resolve()
        assert names(path) == [kept]
        return
    with atomic_folder(path) as folder:
        assert names(path) == [kept]
        assert names(folder) == []
        (folder / "third").touch()
    assert names(path) == ["third"]
    assert names(tmp_path) == ["model"]


def test_recover_where_nothing_is(tmp_path):
    assert recover_folder(tmp_path / "none") == (tmp_path / "none").resolve()
    assert names(tmp_path) == []


def test_file_in_the_way(tmp_path):
    path = tmp_path / "model"
    path.write_text("mine")
    with pytest.raises(SphinxXError, match="is a file"), atomic_folder(path):
        pass
    assert path.read_text() == "mine"


def test_link_to_a_folder_stays_a_link(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to("target")
    with atomic_folder(tmp_path / "link") as folder:
        (folder / "a").touch()
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "target") == ["a"]


# JSONL


def test_lines_come_back_in_order(tmp_path):
    path = tmp_path / "new" / "log.jsonl"
    assert read_lines(path) == []
    records = [{"id": 1, "text": "zwei\nZeilen ü"}, {}, {"id": 2}]
    for record in records:
        append_line(path, record)
    assert read_lines(path) == records
    assert path.read_text().count("\n") == 3


@pytest.mark.parametrize("cut", range(1, 16))
def test_last_line_cut_anywhere(tmp_path, cut):
    """Also within a character of two bytes, and just before the newline."""
    path = tmp_path / "log.jsonl"
    append_line(path, {"id": 1})
    append_line(path, {"id": "äöü"})
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    rest = read_lines(path)
    assert rest == ([{"id": 1}, {"id": "äöü"}] if cut == 1 else [{"id": 1}])
    append_line(path, {"id": 3})
    assert read_lines(path) == [*rest, {"id": 3}]
    assert path.read_bytes().endswith(b'}\n{"id": 3}\n')


def test_only_line_cut(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"i')
    assert read_lines(path) == []
    append_line(path, {"id": 1})
    assert path.read_bytes() == b'{"id": 1}\n'


@pytest.mark.parametrize("bad", [b"{broken", b"[1]", b"3", b'{"a": "\xff"}', b"\0\0\0"])
def test_bad_line_elsewhere_is_named(tmp_path, bad):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}\n\n' + bad + b'\n{"a": 2}\n')
    with pytest.raises(DataError, match=r"log\.jsonl, line 3: not a JSON object"):
        read_lines(path)
    path.write_bytes(b'{"a": 1}\n' + bad + b"\n")  # a whole line, so not one that a kill cut short
    with pytest.raises(DataError, match="line 2"):
        read_lines(path)


def test_empty_lines_are_skipped(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'\n{"a": 1}\r\n  \n{"a": 2}')
    assert read_lines(path) == [{"a": 1}, {"a": 2}]


def test_kill_while_appending(tmp_path):
    """What was appended before the kill is there; the file can be read and appended to."""
    path = tmp_path / "log.jsonl"
    code = "[jobs.append_line(sys.argv[1], {'id': i}) for i in range(50)]\n"
    killed(code + "Path(sys.argv[1]).open('ab', buffering=0).write(b'{\"id\": 5'); die()", path)
    append_line(path, {"id": 50})
    assert [record["id"] for record in read_lines(path)] == list(range(51))


# Manifests


@pytest.fixture
def model(tmp_path) -> Path:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"12345")
    (folder / "sub" / "b.txt").write_text("text")
    write_manifest(folder)
    return folder


def test_sha256_of_a_known_text(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_manifest_names_every_file_once(model):
    files = json.loads((model / "manifest.json").read_text())["files"]
    assert list(files) == ["a.bin", "sub/b.txt"]
    assert files["a.bin"] == {"size": 5, "sha256": sha256(model / "a.bin")}
    write_manifest(model)
    assert list(json.loads((model / "manifest.json").read_text())["files"]) == ["a.bin", "sub/b.txt"]


def test_manifest_is_written_last(model, syncs):
    write_manifest(model)
    assert max(syncs.index("sync a.bin"), syncs.index("sync b.txt")) < syncs.index("rename to manifest.json")


@pytest.mark.parametrize("full", [False, True])
def test_good_folder_and_extra_files_pass(model, full):
    check_manifest(model, full)
    (model / "README.md").touch()
    check_manifest(str(model), full)


def refuse(folder: Path, words: str, full: bool = False) -> None:
    with pytest.raises(CheckpointError, match=words) as caught:
        check_manifest(folder, full)
    assert "\n" not in str(caught.value)


def test_missing_and_altered_files_are_named(model):
    (model / "a.bin").write_bytes(b"12346")
    check_manifest(model)  # the cheap check sees sizes only
    refuse(model, r"a\.bin: altered", full=True)
    (model / "a.bin").write_bytes(b"1234")
    refuse(model, r"a\.bin: altered, 4 bytes instead of 5")
    (model / "a.bin").write_bytes(b"12345")
    (model / "sub" / "b.txt").unlink()
    refuse(model, r"b\.txt: missing")
    (model / "sub" / "b.txt").mkdir()
    refuse(model, r"b\.txt: missing")


def test_no_folder_and_no_manifest(model, tmp_path):
    refuse(tmp_path / "none", "none: no such folder")
    (model / "manifest.json").unlink()
    refuse(model, r"manifest\.json: missing")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"files": 3}', '{"files": {"a": {}}}', '{"files": {"a": 3}}'])
def test_broken_manifest(model, text):
    (model / "manifest.json").write_text(text)
    refuse(model, r"manifest\.json: not a manifest")


def test_one_process_waits_for_another_that_makes_what_it_needs(tmp_path):
    code = "from sphinx_x.work.files import alone_in; import sys, time\n"
    code += "with alone_in(sys.argv[1]): print('in', flush=True); time.sleep(1); open(sys.argv[1] + '/made', 'w')"
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert other.stdout is not None and other.stdout.readline() == b"in\n"
    with pytest.raises(SphinxXError, match="another process is at work in it"), alone_in(tmp_path):
        pass
    with alone_in(tmp_path, wait=True):
        assert (tmp_path / "made").exists()
    assert other.wait() == 0
