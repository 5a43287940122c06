"""The whole command on several devices, and the same configuration on one device in this process.

An epoch has one step, so that a row of history.csv, or a point of TensorBoard's, is a step's.
"""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import config, specs
from anchor_tf.callbacks.checkpoints import Interval
from anchor_tf.devices.distribution import Place
from anchor_tf.evaluation import inputs
from anchor_tf.models import model_file
from anchor_tf.pipelines import augment, splits
from anchor_tf.reports import report_file
from anchor_tf.setup import preparation
from anchor_tf.terminal.interruption import Interruption
from anchor_tf.training import all_phases, construction
from anchor_tf.training.run import TrainingRun
from anchor_tf.workdir import Workdir
from tests import event_values
from tests.devices.test_workers import environment, free_ports

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = 10
CLOSE = 2e-3  # relative, after a step
LATER = 1e-2  # in fine-tuning, whose attack follows weights that differ by then
# No warm-up: its first step would move nothing.
FLAGS = (
    "--backbone=small(width=4)", "--train_examples=32", "--batch_size=32", "--epochs=2",
    "--warmup_epochs=0", "--ramp_epochs=0", "--learning_rate=0.1", "--attack_steps=2",
    "--finetune_epochs=1", "--validate_every=2", "--attacks=fgsm", f"--examples={EXAMPLES}",
)  # fmt: skip


def start(workdir, flags, environment=None) -> subprocess.Popen:
    """Starts the command in a folder; later flags outdo earlier ones."""
    return subprocess.Popen(
        [sys.executable, "-m", "anchor_tf.train", *FLAGS, *flags, f"--workdir={workdir}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


def finish(processes) -> list[str]:
    """Waits for commands to end well; returns what each printed."""
    outputs = []
    for process in processes:
        output, _ = process.communicate(timeout=500)
        assert process.returncode == 0, output[-3000:]
        outputs.append(output)
    return outputs


def on_two_devices(workdir, *flags) -> list[str]:
    """Takes the command to its end on two parts of the CPU."""
    return finish([start(workdir, ["--virtual_devices=2", *flags])])


def on_two_workers(workdir, *flags) -> list[str]:
    """Takes the command to its end in two processes."""
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    return finish([start(workdir, flags, environment(workers, place)) for place in range(2)])


def on_one_device(wanted, workdir) -> None:
    """Trains the configuration of a run on one device, here; neither evaluates nor exports."""
    spec = specs.check(specs.parse(wanted.method), "anchor_tf.methods", "method")
    data = preparation.training_data(wanted, preparation.dataset(wanted.dataset)[1])
    place = Place(tf.distribute.get_strategy())
    method = construction.build(wanted, spec, data, place)
    augmentation = augment.build(augment.check(wanted.augment))
    run = TrainingRun(
        wanted, data, augmentation, Workdir(workdir), place, Interval(), Interruption()
    )
    pathlib.Path(workdir).mkdir()
    all_phases.train(method, run)


def check_equal_to_one_device(workdir, alone, *, later: bool = True) -> None:
    """Compares the steps of a finished run with those of its configuration on one device.

    The first step starts from the same weights: its losses differ by rounding. Before the second
    one the weights have moved, which a wrong gradient would show, and PGD has followed the signs of
    gradients near zero.

    Args:
        workdir: of the finished run.
        alone: where to train on one device.
        later: whether to compare the steps after the first too.
    """
    on_one_device(config.load(Workdir(workdir).config)[0], alone)
    found, expected = (losses(folder) for folder in (workdir, alone))
    assert found.keys() == expected.keys()
    for name, steps in expected.items():
        trains = name[0] == "train/training"
        close = CLOSE if trains else LATER
        if later:
            np.testing.assert_allclose(found[name], steps, rtol=close, atol=1e-4, err_msg=str(name))
        if trains:
            np.testing.assert_allclose(found[name][0], steps[0], rtol=1e-5, atol=1e-6)
    first, second = expected["train/training", "loss"]
    assert abs(first - second) > 3 * CLOSE * first  # else a wrong gradient would pass


def losses(workdir) -> dict[tuple[str, str], list[float]]:
    """The losses of both phases, step by step, by run and name."""
    found, others = {}, ("learning_rate", "epsilon", "gradient_norm")
    for run, name, _, value in sorted(event_values.read(pathlib.Path(workdir) / "logs")):
        if run.endswith("/training") and name not in others and not name.endswith("_accuracy"):
            found.setdefault((run, name), []).append(value)
    return found


def check_evaluated_and_exported(workdir) -> None:
    """Compares report and SavedModel of a finished run with model.keras on the test images."""
    workdir = Workdir(workdir)
    assert workdir.finished
    _, data = preparation.dataset("digits")
    chosen, _ = splits.subset(data.test, EXAMPLES, 0)
    images = inputs.as_floats(chosen.images)
    model = model_file.load(workdir.model)
    expected = model(images, training=False).numpy()
    newest = max(workdir.export.iterdir(), key=lambda version: int(version.name))
    served = tf.saved_model.load(str(newest)).signatures["serving_default"]
    logits = served(images=tf.constant(images))["logits"].numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
    assert np.ptp(expected, axis=0).max() > 1e-2
    right = np.mean(expected.argmax(axis=1) == chosen.labels)
    assert report_file.read(workdir.report)["clean"]["accuracy"] == pytest.approx(right)
