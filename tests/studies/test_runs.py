"""Runs side by side: order, failures, and an end within the grace, whatever they do."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import types

import pytest

from anchor_tf.studies import runs

ROOT = pathlib.Path(__file__).parent.parent.parent
# A study of runs that are small programs: "NAME SECONDS STATUS STUBBORN" each.
STUDY = """
import dataclasses, pathlib, signal, sys
from typing import ClassVar
from anchor_tf.errors import UserError
from anchor_tf.studies import runs
from anchor_tf.studies.plan import Run
from anchor_tf.studies.record import Record

@dataclasses.dataclass(frozen=True)
class Program(Run):
    main: ClassVar[str] = "tests.studies.program"

    @property
    def finished(self):
        return (self.folder / "done").exists()

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
folder, jobs, grace, *programs = sys.argv[1:]
runs.GRACE = float(grace)
folder = pathlib.Path(folder)
planned = []
for text in programs:
    name, *rest = text.split()
    where = folder / name / "seed_0"
    planned.append(Program(name, "seed", 0, where, (str(where), *rest), None))
record = Record(folder, {}, [], 1)

def table():
    print("table", flush=True)
    if any(text.startswith("untold") for text in programs):
        raise UserError("a report is damaged")

try:
    runs.run_all(planned, record, table, int(jobs))
except KeyboardInterrupt:
    sys.exit(130)
"""


def start(folder, jobs, *programs, grace=20.0):
    return subprocess.Popen(
        [sys.executable, "-c", STUDY, str(folder), str(jobs), str(grace), *programs],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path):
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.02)


def alive(folder, name):
    try:
        os.kill(int((folder / name / "seed_0" / "pid").read_text()), 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("jobs", [1, 2])
def test_all_are_run_and_failures_recorded(tmp_path, jobs):
    process = start(tmp_path, jobs, "a 0.1 0", "b 0 3", "c 0.1 0", "d 0 0")
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    record = json.loads((tmp_path / "study.json").read_text())
    assert record["failures"] == {"b/seed_0": {"status": 3, "message": "error: b"}}
    assert output.count("table") == 4
    assert ("b/seed_0: error: b" in errors) == (jobs == 2)
    again = start(tmp_path, jobs, "a 0.1 0", "b 0 0", "c 0.1 0", "d 0 0")
    output, _ = again.communicate(timeout=60)
    assert output.count("finished before") == 3
    assert json.loads((tmp_path / "study.json").read_text())["failures"] == {}


def test_a_table_that_cannot_be_made_does_not_end_the_others(tmp_path):
    process = start(tmp_path, 2, "untold 0 0", "b 0.5 0", "c 0 0")
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert all((tmp_path / name / "seed_0" / "done").exists() for name in ("untold", "b", "c"))
    assert errors.count("warning: a report is damaged") == output.count("table") == 3


def test_one_at_a_time_has_its_table_before_the_next(tmp_path):
    output, _ = start(tmp_path, 1, "a 0 0", "b 0 0").communicate(timeout=60)
    lines = [line.strip() for line in output.splitlines() if line.startswith(("study", "table"))]
    assert lines == ["study 1/2  a/seed_0", "table", "study 2/2  b/seed_0", "table"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_ends_all_runs_and_starts_no_other(tmp_path, number):
    process = start(tmp_path, 2, "a 60 0", "b 60 0", "c 0 0")
    for name in ("a", "b"):
        wait_for(tmp_path / name / "seed_0" / "pid")
    process.send_signal(number)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "study 3/3" not in output
    assert "table" not in output
    assert not (tmp_path / "c").exists()
    assert json.loads((tmp_path / "study.json").read_text())["failures"] == {}


def test_runs_that_do_not_end_are_killed_together(tmp_path):
    process = start(tmp_path, 3, "a 60 0 x", "b 60 0 x", "c 60 0 x", grace=5.0)
    for name in ("a", "b", "c"):
        wait_for(tmp_path / name / "seed_0" / "pid")
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)  # changes nothing
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert not any(alive(tmp_path, name) for name in ("a", "b", "c"))


class Stubborn:
    """A process that ends only when it is killed; waiting for it moves the clock."""

    def __init__(self, clock):
        self.clock, self.told = clock, []

    def terminate(self):
        self.told.append(("terminate", self.clock[0]))

    def kill(self):
        self.told.append(("kill", self.clock[0]))

    def wait(self, timeout=None):
        if timeout is not None:
            self.clock[0] += timeout
            raise subprocess.TimeoutExpired("run", timeout)


def test_all_share_one_grace(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(runs, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(runs, "GRACE", 5.0)
    workers = runs._Workers(0, 3, None, None)
    workers.processes = {Stubborn(clock) for _ in range(3)}
    workers._stop()
    for process in workers.processes:
        assert process.told == [("terminate", 100.0), ("kill", 105.0)]
