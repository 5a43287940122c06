"""A run killed at random moments ends as one that was not.

The short version kills 2 runs; `HOSTILE=full` 50, some of them twice.
"""

import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.hostile import whole_run

pytestmark = pytest.mark.slow

KILLS = 50 if os.environ.get("HOSTILE") == "full" else 2


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The folder of a run that nobody stopped, its output, and the seconds it took."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    began = time.monotonic()
    output = whole_run.finish(folder)
    return folder, output, time.monotonic() - began


def test_nothing_is_resumed_that_was_not_stopped(uninterrupted):
    assert "resumed" not in uninterrupted[1]
    assert "seconds" in (uninterrupted[0] / "history.csv").read_text()


@pytest.mark.slow
def test_killed_runs_end_bit_identical(uninterrupted, tmp_path):
    folder, _, seconds = uninterrupted
    expected = whole_run.left_by(folder)
    random_ = random.Random(0)
    # The first two show that either half of a run can be lost.
    moments = [[0.5 * seconds], [0.9 * seconds]]
    moments += [
        [random_.uniform(0.0, seconds) for _ in range(random_.choice((1, 1, 1, 2)))]
        for _ in range(KILLS - len(moments))
    ]

    def survived(place):
        run = tmp_path / str(place)
        killed = [whole_run.kill_after(run, moment) for moment in moments[place]]
        output = whole_run.finish(run)
        return any(killed), output, whole_run.left_by(run)

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(survived, range(KILLS)))
    for _, output, left in outcomes:
        assert left == expected, output
    assert sum(killed for killed, _, _ in outcomes) >= 0.6 * KILLS
    assert any("resumed: phase=" in output for _, output, _ in outcomes)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_a_run_at_a_step(uninterrupted, tmp_path, number):
    run = tmp_path / "run"
    with whole_run.start(run) as process:
        for line in process.stdout:
            if line.startswith("train  epoch 1/"):
                break
        process.send_signal(number)
        rest = process.stdout.read()
        process.wait()
    assert process.returncode == 128 + number
    assert rest.splitlines()[-1].startswith(f"stopped by {number.name}, saved: phase=train step=")
    if number == signal.SIGTERM:
        step = rest.splitlines()[-1].partition("step=")[2].partition(";")[0]
        assert f"resumed: phase=train step={step}\n" in whole_run.finish(run)
        assert whole_run.left_by(run) == whole_run.left_by(uninterrupted[0])


def test_a_disk_that_takes_no_more_stops_the_run_in_one_line(tmp_path):
    run = tmp_path / "run"
    folder = run / "checkpoints" / "train"
    with whole_run.start(run, largest_file=20_000) as process:
        output, _ = process.communicate()
    assert process.returncode == 4, output
    assert output.splitlines()[-1].startswith("error: File too large: what was saved before is")
    assert "Traceback" not in output
    assert list(folder.iterdir()) == []
