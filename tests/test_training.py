"""A phase that was stopped and continued ends in the very same weights."""

import csv
import dataclasses

import keras
import numpy as np
import pytest

from anchor_tf import training
from anchor_tf.backbones.small import small
from anchor_tf.callbacks import checkpoint
from anchor_tf.errors import UserError
from anchor_tf.methods.anchor import Anchor
from anchor_tf.threat import Threat
from pipelines import augment, splits
from pipelines.sources.digits import digits
from tests.test_config import resolved

CONFIG = resolved(batch_size=16, epochs=4, validate_every=2)
PHASE = training.Phase("train", 4, 0.05, 1.0)


@pytest.fixture(scope="module")
def data():
    full = digits()
    train, _ = splits.subset(full.train, 64, 0)
    validation, _ = splits.subset(full.validation, 20, 0)
    return dataclasses.replace(full, train=train, validation=validation)


def fresh_method():
    keras.utils.set_random_seed(0)
    return Anchor(small((8, 8, 1), [0.3], [0.4], width=2), 10, Threat("linf", 0.1), attack_steps=2)


def train(data, workdir, stop_after=None):
    method = fresh_method()
    if stop_after:

        class Stop(checkpoint.Checkpoint):
            def on_epoch_end(self, epoch, logs=None):
                super().on_epoch_end(epoch, logs)
                if epoch + 1 == stop_after:
                    raise KeyboardInterrupt

        original, checkpoint.Checkpoint = checkpoint.Checkpoint, Stop
    crop = augment.build(augment.check("crop(padding=1)"))
    try:
        training.run(method, data, crop, PHASE, CONFIG, workdir)
    except KeyboardInterrupt:
        pass
    finally:
        if stop_after:
            checkpoint.Checkpoint = original
    return method


def rows(path):
    with open(path, newline="") as file:
        return [{k: v for k, v in r.items() if k != "seconds"} for r in csv.DictReader(file)]


def test_continued_equals_uninterrupted(data, tmp_path, capsys):
    whole = train(data, tmp_path / "whole")
    assert "resumed" not in capsys.readouterr().out
    train(data, tmp_path / "parts", stop_after=1)
    train(data, tmp_path / "parts", stop_after=3)
    parts = train(data, tmp_path / "parts")
    assert "resumed: phase=train step=12" in capsys.readouterr().out
    for one, two in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    history = rows(tmp_path / "whole" / "history.csv")
    assert history == rows(tmp_path / "parts" / "history.csv")
    assert [row["step"] for row in history] == ["4", "8", "12", "16"]
    assert [bool(row["validation_robust"]) for row in history] == [False, True, False, True]


def test_the_batches_differ_from_epoch_to_epoch(data, tmp_path):
    train(data, tmp_path)
    losses = [row["loss"] for row in rows(tmp_path / "history.csv")]
    assert len(set(losses)) == 4


def test_damaged_checkpoints_are_refused(tmp_path):
    path = tmp_path / "train.npz"
    method = fresh_method()
    method.compile(optimizer="sgd")
    method.optimizer.build(method.trainable_variables)
    checkpoint.save(path, method, 3)
    assert checkpoint.restore(path, method) == 3
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], content[:-200] + bytes(200), b""):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="damaged"):
            checkpoint.restore(path, method)
    flipped = bytearray(content)
    place = content.index(np.asarray(method.weights[0]).tobytes()[:16])
    flipped[place] ^= 1
    path.write_bytes(bytes(flipped))
    with pytest.raises(UserError, match="damaged"):
        checkpoint.restore(path, method)


def test_checkpoint_of_another_model_is_refused(tmp_path):
    method = fresh_method()
    method.compile(optimizer="sgd")
    method.optimizer.build(method.trainable_variables)
    checkpoint.save(tmp_path / "train.npz", method, 3)
    other = Anchor(small((8, 8, 1), [0.3], [0.4], width=3), 10, Threat("linf", 0.1))
    other.compile(optimizer="sgd")
    other.optimizer.build(other.trainable_variables)
    with pytest.raises(UserError, match="another model"):
        checkpoint.restore(tmp_path / "train.npz", other)


def test_schedule_warms_up_and_ends_at_zero():
    optimizer = training.sgd(PHASE, steps=10)
    rates = [float(optimizer._learning_rate(step)) for step in range(41)]
    np.testing.assert_allclose(rates[:11], np.arange(11) * 0.005, atol=1e-7)
    np.testing.assert_allclose(rates[25], 0.025, rtol=1e-5)
    np.testing.assert_allclose(rates[40], 0.0, atol=1e-8)
    flat = training.sgd(dataclasses.replace(PHASE, warmup_epochs=0.0), steps=10)
    assert float(flat._learning_rate(0)) == pytest.approx(0.05)
