"""One process at a time in a folder, and no lock outlives its holder."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from anchor_tf.errors import UserError
from anchor_tf.files import lock

HOLD = """
import pathlib, sys, time
from anchor_tf.files import lock
with lock.alone(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_holder_is_named_and_its_death_frees_the_folder(tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(UserError, match=f"in use by process {holder.pid} on .* since 20"),
            lock.alone(folder),
        ):
            pass
        with pytest.raises(UserError, match=r"another --out$"), lock.alone(folder, "out"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with lock.alone(folder):
        assert f"process {os.getpid()} " in (folder / ".lock").read_text()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--workdir="), lock.alone(tmp_path / "file" / "run"):
        pass


def test_a_mistake_leaves_no_folder_that_was_made_for_the_lock(tmp_path):
    with pytest.raises(UserError, match="late"), lock.alone(tmp_path / "run"):
        raise UserError("late")
    assert not (tmp_path / "run").exists()
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(UserError, match="late"), lock.alone(tmp_path / "link"):
        raise UserError("late")
    (tmp_path / "link").unlink()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("")
    with pytest.raises(UserError, match="late"), lock.alone(tmp_path / "run"):
        raise UserError("late")
    assert (tmp_path / "run" / "config.json").exists()


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("anchor_tf.files.lock.fcntl.flock", refused)
    message = "cannot be locked: Function not implemented"
    with pytest.raises(UserError, match=message), lock.alone(tmp_path):
        pass
