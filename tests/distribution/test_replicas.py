"""The same loss, gradients and weights on one, two and three replicas."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent
EXTRAS = {"average_decay": 0.9, "weight_perturbation": 0.01, "label_smoothing": 0.1}


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """Runs `replica_steps` once for each set of arguments; gives what it saved."""
    folder, done = tmp_path_factory.mktemp("states"), {}

    def state(*arguments, **extras):
        key = (*arguments, json.dumps(extras))
        if key not in done:
            out = folder / f"{len(done)}.npz"
            command = [sys.executable, "-m", "tests.distribution.replica_steps", str(out)]
            command += [*map(str, arguments), json.dumps(extras)]
            result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            assert result.returncode == 0, result.stderr[-2000:]
            with np.load(out) as file:
                done[key] = dict(file)
        return done[key]

    return state


def largest_difference(first, second):
    assert set(first) == set(second)
    return max(
        np.abs(first[name].astype(float) - second[name].astype(float)).max()
        for name in first
        if first[name].size
    )


@pytest.mark.parametrize(("replicas", "method"), [(2, "anchor"), (3, "anchor"), (2, "clead")])
def test_replicas_equal_one_device(states, replicas, method):
    attack = "injected" if method == "anchor" else "attacked"
    tolerance = 1e-6 if method == "anchor" else 1e-3
    one, many = states(1, method, attack), states(replicas, method, attack)
    assert largest_difference(one, many) <= tolerance


def test_with_the_attack_in_the_loop(states):
    one, two = states(1, "anchor", "attacked"), states(2, "anchor", "attacked")
    assert largest_difference(one, two) <= 1e-3


def test_with_every_extra(states):
    one, two = (states(r, "anchor", "injected", **EXTRAS) for r in (1, 2))
    assert largest_difference(one, two) <= 2e-6
    assert np.abs(one["loss"] - states(1, "anchor", "injected")["loss"]).max() > 1e-2


def test_negatives_of_one_replica_alone_are_another_loss(states):
    one = states(1, "anchor", "injected")
    local = states(2, "anchor", "injected", local_negatives=True)
    assert np.abs(one["loss"] - local["loss"]).max() > 1e-2
    assert largest_difference(one, local) > 1e-2
