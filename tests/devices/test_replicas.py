"""The same loss, gradients and weights on one, two and three replicas, compiled or not."""

import json
import pathlib
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.devices import distribution
from tests.devices.replica_steps import STEPS
from tests.devices.rounding import rounding

pytestmark = [pytest.mark.numeric, pytest.mark.slow]

ROOT = pathlib.Path(__file__).parent.parent.parent
EXTRAS = {"average_decay": 0.9, "weight_perturbation": 0.01, "label_smoothing": 0.1}
GIVEN = {"method": "anchor", "attack": "injected"}
FOUND = {"method": "anchor", "attack": "found"}
CLEAD = {"method": "clead", "attack": "found"}
ROCL = {"method": "rocl", "attack": "found"}
FAT = {"method": "fat", "attack": "found"}
PER_REPLICA = {"options": {"batch_norm": "per_replica"}}
ON_ONE_DEVICE = {
    "given": GIVEN,
    "found": FOUND,
    "clead": CLEAD,
    "rocl": ROCL,
    "fat": FAT,
    "extras": {**GIVEN, "options": EXTRAS},
    "clipped": {**GIVEN, "options": {"clip_norm": 0.5}},
    "loaded": {**GIVEN, "loaded": True},
}
CASES = {
    1: ON_ONE_DEVICE,
    2: {
        **ON_ONE_DEVICE,
        "local_negatives": {**GIVEN, "local_negatives": True},
        "per_replica": {**FOUND, **PER_REPLICA},
        "per_replica_extras": {**FOUND, "options": {**EXTRAS, "batch_norm": "per_replica"}},
        "still": {**GIVEN, "learning_rate": 0.0},
        "still_per_replica": {**GIVEN, **PER_REPLICA, "learning_rate": 0.0},
    },
    3: {"given": GIVEN},
}
WITH_XLA = {
    1: {"found": {**FOUND, "xla": "on"}},
    2: {
        "found": {**FOUND, "xla": "on"},
        "rocl": {**ROCL, "xla": "on"},
        "fat": {**FAT, "xla": "on"},
        "per_replica": {**FOUND, **PER_REPLICA, "xla": "on"},
        "per_replica_extras": {
            **FOUND,
            "options": {**EXTRAS, "batch_norm": "per_replica"},
            "xla": "on",
        },
    },
}


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    return steps_taken(tmp_path_factory, CASES)


@pytest.fixture(scope="module")
def compiled_states(tmp_path_factory):
    return steps_taken(tmp_path_factory, WITH_XLA)


def steps_taken(tmp_path_factory, cases_by_replicas):
    """What `replica_steps` saved: by number of replicas and name of the case."""
    found = {}
    for replicas, cases in cases_by_replicas.items():
        folder = tmp_path_factory.mktemp(f"replicas_{replicas}")
        command = [sys.executable, "-m", "tests.devices.replica_steps"]
        command += [str(folder), str(replicas), json.dumps(cases)]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr[-2000:]
        for name in cases:
            with np.load(folder / f"{name}.npz") as file:
                found[replicas, name] = dict(file)
    return found


def largest_difference(first, second):
    assert set(first) == set(second)
    return max(
        np.abs(first[name].astype(float) - second[name].astype(float)).max()
        for name in first
        if first[name].size and name != "gradient_norm"
    )


def beyond_rounding(first, second):
    """The largest difference, as a multiple of what rounding may make of the steps."""
    assert set(first) == set(second)
    return max(
        np.abs(first[name].astype(float) - second[name].astype(float)).max()
        / rounding(STEPS, first[name])
        for name in first
        if first[name].size and name != "gradient_norm"
    )


@pytest.mark.parametrize("replicas", [2, 3])
def test_replicas_equal_one_device(states, replicas):
    assert beyond_rounding(states[1, "given"], states[replicas, "given"]) <= 1.0


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_loaded_backbone_sees_the_statistics_of_this_run(states, replicas):
    assert beyond_rounding(states[1, "given"], states[replicas, "loaded"]) <= 1.0


def test_the_norm_of_a_clipped_gradient_is_that_of_all_replicas(states):
    norms = [states[count, "clipped"]["gradient_norm"] for count in (1, 2)]
    np.testing.assert_allclose(*norms, rtol=rounding(STEPS))
    assert np.isfinite(states[1, "given"]["gradient_norm"]).all()
    assert np.isnan(states[2, "given"]["gradient_norm"]).all()  # it would cost an exchange


@pytest.mark.parametrize("name", ["found", "clead", "rocl", "fat"])
def test_with_the_attack_in_the_loop(states, name):
    assert largest_difference(states[1, name], states[2, name]) <= 1e-3


def test_with_every_extra(states):
    assert beyond_rounding(states[1, "extras"], states[2, "extras"]) <= 1.0
    assert np.abs(states[1, "extras"]["loss"] - states[1, "given"]["loss"]).max() > 1e-2


def test_clipping_sees_the_gradient_of_all_replicas(states):
    assert beyond_rounding(states[1, "clipped"], states[2, "clipped"]) <= 1.0
    assert largest_difference(states[1, "clipped"], states[1, "given"]) > 1e-3


def test_negatives_of_one_replica_alone_are_another_loss(states):
    one, local = states[1, "given"], states[2, "local_negatives"]
    assert np.abs(one["loss"] - local["loss"]).max() > 1e-2
    assert largest_difference(one, local) > 1e-2


def test_statistics_per_replica_are_averaged(states):
    """At a learning rate of 0 the first layer's means are those of the global batch."""
    shared, local = states[2, "still"], states[2, "still_per_replica"]
    mean, variance = (
        next(name for name in local if name.endswith(f"batch_normalization/moving_{part}"))
        for part in ("mean", "variance")
    )
    atol = rounding(STEPS, shared[mean])
    np.testing.assert_allclose(local[mean], shared[mean], rtol=0, atol=atol)
    assert (local[variance] < shared[variance]).all()
    assert np.abs(local["loss"] - shared["loss"]).max() > 1e-3


@pytest.mark.slow  # XLA takes half a minute a case
@pytest.mark.parametrize(
    ("replicas", "name"),
    [(replicas, name) for replicas, cases in WITH_XLA.items() for name in cases],
)
def test_compiled_with_xla_it_comes_to_the_same(states, compiled_states, replicas, name):
    plain, compiled = states[replicas, name], compiled_states[replicas, name]
    assert largest_difference(plain, compiled) <= 1e-3


def test_a_wish_of_one_worker_is_everyone_s(monkeypatch):
    monkeypatch.setattr(distribution, "_multiple_workers", lambda strategy: True)
    together = types.SimpleNamespace(
        run=lambda function: function(),
        reduce=lambda how, mine, axis: mine + tf.constant([0.0, 1.0, 0.0]),
    )
    assert distribution.any_worker(together, [True, False, False]) == [True, True, False]
