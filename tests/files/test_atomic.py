"""Files appear whole or not at all, and what a killed process was writing can be removed."""

import shutil
import signal
import subprocess
import sys

import pytest

from anchor_tf.files import atomic

WRITE = """
import sys, time
from anchor_tf.files import atomic
with atomic.replacing(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    time.sleep(60)
"""


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_an_exception_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "folder" / "file.txt"
    with atomic.replacing(path) as file:
        file.write(b"first")
        assert not path.exists()
    with pytest.raises(TypeError, match="bytes-like"), atomic.replacing(path) as file:
        file.write("no bytes")
    assert path.read_bytes() == b"first"
    assert names(tmp_path) == ["folder", "folder/file.txt"]


def test_what_a_killed_process_was_writing_is_removed(tmp_path):
    path = tmp_path / "folder" / "file.txt"
    with atomic.replacing(path) as file:
        file.write(b"first")
    command = [sys.executable, "-c", WRITE, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "writing\n"
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    export = atomic.temporary_path(tmp_path / "export")
    (export / "variables").mkdir(parents=True)
    assert len(names(tmp_path)) == 5
    atomic.remove_partial(tmp_path)
    assert names(tmp_path) == ["folder", "folder/file.txt"]
    other = atomic.temporary_path(tmp_path / "other" / "report.json")
    other.parent.mkdir()
    other.write_text("")
    (other.parent / atomic.LOCK).write_text("")
    (tmp_path / atomic.LOCK).write_text("")
    atomic.remove_partial(tmp_path)
    assert other.exists()
    atomic.remove_partial(other.parent)
    assert not other.exists()
    shutil.rmtree(other.parent)
    (tmp_path / atomic.LOCK).unlink()
    assert names(tmp_path) == ["folder", "folder/file.txt"]
    assert path.read_bytes() == b"first"


def test_contents_are_on_the_disk_before_the_name_and_the_name_after(tmp_path, monkeypatch):
    synchronised, target = [], tmp_path / "target"
    monkeypatch.setattr(
        atomic, "_synchronise", lambda path: synchronised.append((path.name, target.exists()))
    )
    (tmp_path / "written" / "variables").mkdir(parents=True)
    (tmp_path / "written" / "variables" / "data").touch()
    atomic.put_in_place(tmp_path / "written", target)
    assert set(synchronised[:-1]) == {("variables", False), ("data", False), ("written", False)}
    assert synchronised[-1] == (tmp_path.name, True)
