"""A phase that was killed or stopped anywhere and continued ends in the very same weights."""

import collections
import contextlib
import csv
import dataclasses
import json
import signal
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.backbones.small import small
from anchor_tf.callbacks.checkpoints import Interval
from anchor_tf.callbacks.robust_validation import RobustValidation
from anchor_tf.callbacks.validation_attack import ValidationAttack
from anchor_tf.checkpoints.best_weights import BestWeights
from anchor_tf.devices.distribution import Place
from anchor_tf.errors import DivergedError, StoppedError, UserError
from anchor_tf.methods.anchor import Anchor
from anchor_tf.methods.clead import CLEAD
from anchor_tf.pipelines import augment, splits
from anchor_tf.pipelines.build import batch_indices, evaluation_batches
from anchor_tf.pipelines.data import Split
from anchor_tf.pipelines.sources.digits import digits
from anchor_tf.terminal.interruption import Interruption
from anchor_tf.threat import Threat
from anchor_tf.training import one_phase
from anchor_tf.training.loop import TrainingLoop
from anchor_tf.training.phase import Phase, optimizer, phase_seed
from anchor_tf.training.run import TrainingRun
from anchor_tf.training.watching import Watching
from anchor_tf.workdir import Workdir
from tests import event_values
from tests.slow_cases import slow_but
from tests.test_config import resolved

pytestmark = pytest.mark.numeric

CONFIG = resolved(batch_size=16, epochs=4, validate_every=2)
PHASE = Phase("train", 4, 0.05, 1.0)


@pytest.fixture(scope="module")
def data():
    return few_digits()


def few_digits():
    full = digits()
    train, _ = splits.subset(full.train, 64, 0)
    validation, _ = splits.subset(full.validation, 20, 0)
    return dataclasses.replace(full, train=train, validation=validation)


def fresh_method(kind=Anchor, **extras):
    keras.utils.set_random_seed(0)
    backbone = small((8, 8, 1), [0.3], [0.4], width=2)
    return kind(backbone, 10, Threat("linf", 0.1), attack_steps=2, **extras)


class CutError(Exception):
    """Ends a training as a kill would, between two steps."""


def train(data, workdir, stop_after=None, signal_at=None, config=CONFIG, strategy=None, **method):
    """Trains; is killed after so many steps here, or gets a signal at a step of the whole run."""
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        method = fresh_method(**method)
    interruption = Interruption()
    taken = []
    step = TrainingLoop.run

    def run(self, batches, steps, epochs, callbacks, *position):
        class Ending(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                taken.append(batch)
                if len(taken) == stop_after:
                    raise CutError
                if self.model.optimizer.iterations.numpy() == signal_at:
                    interruption.requested = signal.SIGTERM

        step(self, batches, steps, epochs, [Ending(), *callbacks], *position)

    crop = augment.build(augment.check("crop(padding=1)"))
    interval = Interval(steps=3)
    run_here = TrainingRun(
        config, data, crop, Workdir(workdir), Place(strategy), interval, interruption
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingLoop, "run", run)
        patch.setattr(Interruption, "steps", lambda self: contextlib.nullcontext())
        with contextlib.suppress(CutError, StoppedError):
            one_phase.train(method, PHASE, run_here)
    return method


def rows(path):
    with open(path, newline="") as file:
        return [{k: v for k, v in r.items() if k != "seconds"} for r in csv.DictReader(file)]


def same_state(one, two):
    for first, second in zip(one.resumable, two.resumable, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return train(data, folder), folder


@pytest.mark.parametrize("stops", [pytest.param((4,), marks=pytest.mark.slow), (5, 1, 4)])
def test_killed_and_continued_equals_uninterrupted(data, tmp_path, whole, stops):
    for stop in stops:
        train(data, tmp_path, stop_after=stop)
    same_state(train(data, tmp_path), whole[0])
    history = rows(tmp_path / "history.csv")
    assert history == rows(whole[1] / "history.csv")
    assert [row["step"] for row in history] == ["4", "8", "12", "16"]
    assert [bool(row["validation_robust"]) for row in history] == [False, True, False, True]
    assert event_values.read(tmp_path / "logs") == event_values.read(whole[1] / "logs")


def test_training_and_validation_are_runs_that_line_up(whole):
    steps = collections.defaultdict(list)
    for run, tag, step, _ in event_values.read(whole[1] / "logs"):
        steps[run, tag].append(step)
    both = ["clean_accuracy", "robust_accuracy"]
    training = ["loss", "contrastive", "adversarial_cross_entropy", "gradient_norm"]
    training += ["learning_rate", "epsilon"]
    validation = ["attack_loss_rise", "attack_perturbation"]
    assert steps == {
        **{("train/training", tag): [4, 8, 12, 16] for tag in both + training},
        **{("train/validation", tag): [8, 16] for tag in both + validation},
        ("train/examples", "views_attacked_perturbation"): [8, 16],
    }


def test_the_strength_of_the_attack_is_told(whole):
    row = rows(whole[1] / "history.csv")[-1]
    assert 0.0 < float(row["validation_attack_loss_rise"]) < 5.0
    # PGD ends in a corner of the L-inf ball, but for pixels that the box stops.
    assert 0.099 < float(row["validation_attack_perturbation"]) < 0.1001


def test_the_examples_are_views_attacked_views_and_the_perturbation(whole):
    (path,) = (whole[1] / "logs" / "train" / "examples").glob("events*")
    images = [
        tf.make_ndarray(value.tensor)
        for record in tf.data.TFRecordDataset(str(path))
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value
    ]
    first, last = (tf.io.decode_png(image[2]).numpy().astype(int) for image in images)
    assert first.shape == (4 * 130, 8 * 130, 3)  # two views; 8 pixels enlarged 16 times, and gaps
    tiles = last.reshape(4, 130, 8, 130, 3).swapaxes(1, 2)[:, :, :128:16, :128:16, 0]
    assert (tiles[0] != tiles[1]).any()
    moved = tiles[2] - tiles[1]
    assert 24 <= np.abs(moved).max() <= 27  # a tenth of 255, and rounding
    stretched = tiles[3] - 127.5
    np.testing.assert_array_equal(np.sign(stretched)[moved != 0], np.sign(moved)[moved != 0])
    assert np.abs(stretched).max() == 127.5
    np.testing.assert_array_equal(first[: 2 * 130], last[: 2 * 130])  # the views stay
    assert (first[2 * 130 :] != last[2 * 130 :]).any()


@pytest.mark.parametrize("step", slow_but([6], [6, 8]))
def test_a_signal_saves_the_very_step(data, tmp_path, whole, capsys, step):
    train(data, tmp_path, signal_at=step)
    assert (tmp_path / "checkpoints" / "train" / f"{step:09d}.npz").exists()
    continued = train(data, tmp_path)
    assert f"resumed: phase=train step={step}\n" in capsys.readouterr().out
    same_state(continued, whole[0])
    assert rows(tmp_path / "history.csv") == rows(whole[1] / "history.csv")


def test_a_damaged_checkpoint_gives_way_to_the_one_before(data, tmp_path, whole, capsys):
    train(data, tmp_path, stop_after=8)
    newest = tmp_path / "checkpoints" / "train" / "000000006.npz"
    kept = sorted(path.name for path in newest.parent.iterdir())
    assert kept == ["000000003.npz", newest.name]
    newest.write_bytes(newest.read_bytes()[:-40])
    same_state(train(data, tmp_path), whole[0])
    output = capsys.readouterr().out
    assert "000000006.npz is damaged" in output
    assert "resumed: phase=train step=3\n" in output
    assert newest.with_name("000000006.npz.damaged").exists()


@pytest.mark.parametrize(
    "method",
    slow_but(
        [{"average_decay": 0.9}],
        [
            {"average_decay": 0.9},
            {"kind": CLEAD},
            {"kind": CLEAD, "negatives": "paired"},
            {"kind": CLEAD, "negatives": "all"},
        ],
    ),
)
def test_averages_and_second_optimizers_continue_too(data, tmp_path, method):
    whole = train(data, tmp_path / "whole", **method)
    train(data, tmp_path / "parts", stop_after=7, **method)
    parts = train(data, tmp_path / "parts", **method)
    same_state(whole, parts)


def validated_anew(method, data, seed):
    """What validation finds of the weights a method has now, 20 images in two batches of 16."""
    method.average.restart()
    batches = evaluation_batches(data.validation, batch_size=16)
    logs, check = {}, RobustValidation(batches, 1, 1, ValidationAttack(seed))
    check.set_model(method)
    check.on_epoch_end(0, logs)
    return logs


def test_the_best_epoch_is_kept(data, tmp_path):
    best = dataclasses.replace(CONFIG, select="best")
    train(data, tmp_path, stop_after=11, config=best, average_decay=0.5)
    method = train(data, tmp_path, config=best, average_decay=0.5)
    last = [np.array(w) for w in method.classifier_weights]
    for weight, average in zip(last, method.average.averages, strict=True):
        np.testing.assert_array_equal(weight, average)  # what training leaves
    validated = {
        int(row["epoch"]): float(row["validation_robust"])
        for row in rows(tmp_path / "history.csv")
        if row["validation_robust"]
    }
    weights = BestWeights(tmp_path / "checkpoints", "train")
    facts = weights.restore(method.classifier_weights)
    assert facts["epoch"] == max(validated, key=lambda epoch: (validated[epoch], -epoch))
    np.testing.assert_allclose(facts["robust"], max(validated.values()), rtol=1e-5)
    told = next(
        row for row in rows(tmp_path / "history.csv") if int(row["epoch"]) == facts["epoch"]
    )
    found = validated_anew(method, data, best.seed)
    for name in ("clean", "robust", "attack_loss_rise", "attack_perturbation"):
        assert found[f"validation_{name}"] == pytest.approx(
            float(told[f"validation_{name}"]), rel=1e-4
        )
    answers = method.classify(tf.constant(data.validation.images))
    right = answers.numpy().argmax(axis=1) == data.validation.labels
    assert found["validation_clean"] == pytest.approx(right.mean())
    weights.save([w + 1.0 for w in last], epoch=2, robust=0.9)
    weights.paths[0].write_bytes(b"")  # its copy remains
    one_phase.take_best(method, PHASE, Workdir(tmp_path))
    for weight, value in zip(method.classifier_weights, last, strict=True):
        np.testing.assert_array_equal(weight, value + 1.0)
    weights.paths[1].write_bytes(b"")
    with pytest.raises(UserError, match="both missing or damaged"):
        one_phase.take_best(method, PHASE, Workdir(tmp_path))


def test_choosing_an_epoch_takes_more_images_than_watching():
    watched = {}
    for select in ("last", "best"):
        split = Split(np.zeros([3000, 2, 2, 1], np.uint8), np.arange(3000, dtype=np.int32) % 10)
        data = types.SimpleNamespace(validation=split)
        config = dataclasses.replace(CONFIG, select=select, batch_size=500)
        place = Place(tf.distribute.get_strategy())
        run = types.SimpleNamespace(data=data, config=config, place=place)
        batches = Watching(run, PHASE, 2, None).validation().batches
        watched[select] = sum(int(batch["mask"].numpy().sum()) for batch in batches)
    assert watched == {"last": 512, "best": 2048}


class LossOfAnImage(Anchor):
    """One image's loss, and with it every gradient, is infinite on any processor."""

    def outcome(self, batch, adversarial):
        found = super().outcome(batch, adversarial)
        factor = tf.where(batch.index == 17, np.inf, 1.0)
        losses = {name: factor * loss for name, loss in found.losses.items()}
        return dataclasses.replace(found, losses=losses)


class GradientOfAnImage(Anchor):
    """The root of one image's zero adds nothing to its loss, and to the gradient what is none."""

    def outcome(self, batch, adversarial):
        found = super().outcome(batch, adversarial)
        name, loss = next(iter(found.losses.items()))
        nothing = tf.where(batch.index == 17, tf.sqrt(0.0 * loss), 0.0)
        return dataclasses.replace(found, losses={**found.losses, name: loss + nothing})


@pytest.mark.parametrize(
    ("kind", "cause", "image"),
    [(LossOfAnImage, "loss of training image 17", 17), (GradientOfAnImage, "gradient", None)],
)
def test_what_is_not_finite_stops_a_training(data, tmp_path, kind, cause, image):
    with pytest.raises(DivergedError) as caught:
        train(data, tmp_path, kind=kind)
    details = json.loads((tmp_path / "diverged.json").read_text())
    step = details["step"]
    assert f"step {step} (epoch 1, batch {step + 1} of 4): the {cause} is not finite" in str(
        caught.value
    )
    assert details["first_image"] == image
    assert 17 in details["images"]
    assert len(details["images"]) == 16
    for path in (tmp_path / "checkpoints" / "train").glob("*.npz"):
        assert int(path.stem) <= step


@pytest.mark.parametrize("kind", [LossOfAnImage, GradientOfAnImage])
def test_steps_that_are_not_finite_are_skipped(data, tmp_path, kind):
    method = train(data, tmp_path, kind=kind, on_divergence="skip")
    assert all(np.isfinite(weight).all() for weight in method.get_weights())
    history = rows(tmp_path / "history.csv")
    assert [float(row["skipped_steps"]) for row in history] == [1, 2, 3, 4]
    assert all(np.isfinite(float(row["loss"])) for row in history)


def test_finetuning_draws_other_numbers_than_training():
    seeds = {phase_seed(name, 5) for name in ("train", "finetune", "finetune_last")}
    assert 5 in seeds
    assert len(seeds) == 2
    assert 0 <= phase_seed("finetune", 2**31 - 1) < 2**31


def test_the_batches_differ_from_epoch_to_epoch(data):
    first, second = (batch_indices(data.train, 16, 0, step) for step in (0, len(data.train) // 16))
    assert not np.array_equal(first, second)


def test_schedule_warms_up_and_ends_at_zero():
    warming = optimizer(PHASE, steps=10)
    rates = [float(warming._learning_rate(step)) for step in range(41)]
    np.testing.assert_allclose(rates[:11], np.arange(11) * 0.005, atol=1e-7)
    np.testing.assert_allclose(rates[25], 0.025, rtol=1e-5)
    np.testing.assert_allclose(rates[40], 0.0, atol=1e-8)
    flat = optimizer(dataclasses.replace(PHASE, warmup_epochs=0.0), steps=10)
    assert float(flat._learning_rate(0)) == pytest.approx(0.05)
