"""The same attacks on several replicas and on several workers, each doing its share."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from anchor_tf.backbones.small import small
from anchor_tf.models import model_file
from tests.devices.test_workers import environment, free_ports, step_of_slurm
from tests.slow_cases import slow_but

pytestmark = pytest.mark.numeric

ROOT = pathlib.Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    """A model and images that it classifies rightly, since it gave the labels."""
    folder = tmp_path_factory.mktemp("problem")
    keras.utils.set_random_seed(1)
    images = keras.Input((8, 8, 1))
    features = small((8, 8, 1), [0.5], [0.25], width=4)(images)
    model = keras.Model(images, keras.layers.Dense(4)(features))
    pixels = np.random.default_rng(0).uniform(size=(43, 8, 8, 1)).astype(np.float32)
    labels = model.predict(pixels, verbose=0).argmax(axis=1)
    model_file.save(model, folder / "model.keras")
    np.savez(folder / "data.npz", images=pixels, labels=labels)
    return folder


def attacked(problem, name, replicas, environments):
    """Starts a process for each environment, waits for all, and gives what they saved."""
    command = [sys.executable, "-m", "tests.devices.attack_together"]
    command += [str(problem / file) for file in ("model.keras", "data.npz", f"journal_{name}")]
    outs = [problem / f"{name}_{place}.npz" for place in range(len(environments))]
    runs = [
        subprocess.Popen(
            [*command, str(out), str(replicas)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for out, environment in zip(outs, environments, strict=True)
    ]
    for run in runs:
        output, _ = run.communicate(timeout=300)
        assert run.returncode == 0, output[-2000:]
    return [dict(np.load(out)) for out in outs]


@pytest.fixture(scope="module")
def alone(problem):
    return attacked(problem, "alone", 1, [dict(os.environ)])[0]


def check_alike(found, alone):
    np.testing.assert_array_equal(found["robust"], alone["robust"])
    np.testing.assert_allclose(found["adversarial"], alone["adversarial"], rtol=0, atol=1e-5)
    assert 0 < alone["robust"].mean() < 1


def test_replicas_divide_a_batch(problem, alone):
    (found,) = attacked(problem, "three", 3, [dict(os.environ)])
    check_alike(found, alone)


@pytest.mark.parametrize("told_by", slow_but(["tf_config"], ["tf_config", "slurm"]))
def test_workers_divide_the_batches(problem, alone, told_by):
    environments = [step_of_slurm(place) for place in range(2)]
    if told_by == "tf_config":
        workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
        environments = [environment(workers, place) for place in range(2)]
    found = attacked(problem, told_by, 2, environments)
    for worker in found:
        check_alike(worker, alone)
        assert 0 < worker["computed"] < alone["computed"]
    assert sum(worker["computed"] for worker in found) == alone["computed"]
