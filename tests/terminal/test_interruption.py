"""Signals end a process soon, and a training step first."""

import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import signal, sys, time
from anchor_tf.terminal import interruption
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
interruption.GRACE = 60.0 if sys.argv[1] == "patient" else 1.0
stop = interruption.Interruption().install()

def work(where, seconds):
    print(where, flush=True)
    time.sleep(seconds)

LONG = 300  # seconds, far beyond what the tests wait for
if sys.argv[1] == "outside":
    work("outside", LONG)
with stop.steps():
    for step in range(300):
        work("step", LONG if sys.argv[1] in ("long", "patient") else 0.2)
        if stop.requested and sys.argv[1] != "unseen":
            stop.saving()
            if sys.argv[1] == "saving":
                work("saving", LONG)
            print(f"saved after {stop.requested}", flush=True)
            sys.exit(7)
        if stop.requested:
            break
work("after", LONG)
"""


def run(case, *numbers):
    command = [sys.executable, "-c", PROGRAM, case]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        first = process.stdout.readline()
        assert first
        for number in numbers:
            process.send_signal(number)
            time.sleep(0.4)
        output, errors = process.communicate(timeout=120)
        return process.returncode, first + output, errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_outside_of_training_ends_at_once(number):
    status, _, errors = run("outside", number)
    assert status == 128 + number
    assert errors == (f"stopped by {number.name}: the same command goes on from what is saved\n")


def test_a_step_ends_first_and_is_saved():
    status, output, errors = run("short", signal.SIGTERM)
    assert (status, errors) == (7, "")
    assert output.endswith("saved after 15\n")


def test_a_step_that_takes_too_long_is_not_waited_for():
    status, output, errors = run("long", signal.SIGTERM)
    assert status == 128 + signal.SIGTERM
    assert output.splitlines() == ["step"]
    assert "stopped by SIGTERM" in errors


def test_a_second_signal_ends_a_step_at_once():
    status, output, _ = run("patient", signal.SIGTERM, signal.SIGINT)
    assert status == 128 + signal.SIGINT
    assert output.splitlines() == ["step"]


def test_saving_is_waited_for_but_not_after_a_second_signal():
    status, output, _ = run("saving", signal.SIGTERM, signal.SIGTERM)
    assert status == 128 + signal.SIGTERM
    assert output.splitlines()[-1] in ("saving", "step")


def test_a_signal_that_no_step_has_seen_ends_the_process_after_the_last():
    status, output, _ = run("unseen", signal.SIGINT)
    assert status == 128 + signal.SIGINT
    assert "after" not in output
