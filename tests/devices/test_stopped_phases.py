"""A phase that is stopped goes on on any number of devices."""

import csv
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.devices.rounding import rounding
from tests.devices.stopped_phases import CASES, ON_TWO

pytestmark = pytest.mark.slow  # most of a minute; test_whole_commands moves one run

ROOT = pathlib.Path(__file__).parents[2]
STEPS = 16


@pytest.fixture(scope="module")
def phases(tmp_path_factory):
    """Where `stopped_phases` has left its runs."""
    folder = tmp_path_factory.mktemp("phases")
    command = [sys.executable, "-m", "tests.devices.stopped_phases", str(folder)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-2000:]
    assert found.stdout.count("resumed: phase=train step=6\n") == len(CASES) + len(ON_TWO)
    assert found.stdout.count("resumed: phase=train step=11\n") == len(CASES)
    return folder


def left(phases, run):
    """What a checkpoint at the end would hold, and the rows of history.csv."""
    with np.load(phases / f"{run}.npz") as file:
        arrays = list(file.values())
    with open(phases / run / "history.csv", newline="") as file:
        return arrays, list(csv.DictReader(file))


@pytest.mark.parametrize("case", CASES)
def test_a_phase_moves_to_two_devices_and_back(phases, case):
    (arrays, rows), (moved, moved_rows) = (left(phases, f"{case}_{n}") for n in ("whole", "moved"))
    for value, found in zip(arrays, moved, strict=True):
        assert found.shape == value.shape
        np.testing.assert_allclose(found, value, rtol=0, atol=rounding(STEPS, value))
    for row, found in zip(rows, moved_rows, strict=True):
        assert (found["epoch"], found["step"]) == (row["epoch"], row["step"])
        for name in row.keys() - {"phase", "seconds", "validation_robust"}:
            if name == "gradient_norm" and case != "extras":  # measured on one device alone
                continue
            assert found[name] == row[name] == "" or float(found[name]) == pytest.approx(
                float(row[name]), rel=1e-4
            )


@pytest.mark.parametrize("case", ON_TWO)
def test_on_two_devices_a_stopped_phase_ends_in_the_same_bits(phases, case):
    (arrays, _), (stopped, _) = (left(phases, f"{case}_{n}") for n in ("two", "two_stopped"))
    for one, other in zip(arrays, stopped, strict=True):
        np.testing.assert_array_equal(one, other)
