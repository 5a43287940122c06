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
from anchor_tf.methods.clead import CLEAD
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


def fresh_method(kind=Anchor, **extras):
    keras.utils.set_random_seed(0)
    backbone = small((8, 8, 1), [0.3], [0.4], width=2)
    return kind(backbone, 10, Threat("linf", 0.1), attack_steps=2, **extras)


def train(data, workdir, stop_after=None, config=CONFIG, **method):
    method = fresh_method(**method)
    if stop_after:

        class Stop(checkpoint.Checkpoint):
            def on_epoch_end(self, epoch, logs=None):
                super().on_epoch_end(epoch, logs)
                if epoch + 1 == stop_after:
                    raise KeyboardInterrupt

        original, checkpoint.Checkpoint = checkpoint.Checkpoint, Stop
    crop = augment.build(augment.check("crop(padding=1)"))
    try:
        training.run(method, data, crop, PHASE, config, workdir)
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


@pytest.mark.parametrize("method", [{"average_decay": 0.9}, {"kind": CLEAD}])
def test_averages_and_second_optimizers_continue_too(data, tmp_path, method):
    whole = train(data, tmp_path / "whole", **method)
    train(data, tmp_path / "parts", stop_after=2, **method)
    parts = train(data, tmp_path / "parts", **method)
    for one, two in zip(whole.state, parts.state, strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_best_epoch_is_kept(data, tmp_path):
    best = dataclasses.replace(CONFIG, select="best")
    method = train(data, tmp_path, config=best, average_decay=0.5)
    last = [np.array(w) for w in method.classifier_weights]
    for weight, average in zip(last, method.average.averages, strict=True):
        np.testing.assert_array_equal(weight, average)  # what training leaves
    validated = {
        int(row["epoch"]): float(row["validation_robust"])
        for row in rows(tmp_path / "history.csv")
        if row["validation_robust"]
    }
    _, facts = checkpoint.read(tmp_path / "checkpoints" / "train_best.npz")
    assert facts["epoch"] == max(validated, key=lambda epoch: (validated[epoch], -epoch))
    np.testing.assert_allclose(facts["robust"], max(validated.values()), rtol=1e-5)
    saved = tmp_path / "checkpoints" / "train_best.npz"
    checkpoint.save(saved, [w + 1.0 for w in last], epoch=2, robust=0.9)
    training.take_best(method, PHASE, tmp_path)
    for weight, value in zip(method.classifier_weights, last, strict=True):
        np.testing.assert_array_equal(weight, value + 1.0)


def test_finetuning_draws_other_numbers_than_training():
    seeds = {training.phase_seed(name, 5) for name in ("train", "finetune", "finetune_last")}
    assert 5 in seeds
    assert len(seeds) == 2
    assert 0 <= training.phase_seed("finetune", 2**31 - 1) < 2**31


def test_the_batches_differ_from_epoch_to_epoch(data, tmp_path):
    train(data, tmp_path)
    losses = [row["loss"] for row in rows(tmp_path / "history.csv")]
    assert len(set(losses)) == 4


def test_damaged_checkpoints_are_refused(tmp_path):
    path = tmp_path / "train.npz"
    method = fresh_method()
    method.compile(optimizer="sgd")
    method.optimizer.build(method.trainable_variables)
    checkpoint.save(path, method.state, epoch=3)
    assert checkpoint.restore(path, method.state) == {"epoch": 3}
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], content[:-200] + bytes(200), b""):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="damaged"):
            checkpoint.restore(path, method.state)
    flipped = bytearray(content)
    place = content.index(np.asarray(method.weights[0]).tobytes()[:16])
    flipped[place] ^= 1
    path.write_bytes(bytes(flipped))
    with pytest.raises(UserError, match="damaged"):
        checkpoint.restore(path, method.state)


def test_checkpoint_of_another_model_is_refused(tmp_path):
    method = fresh_method()
    method.compile(optimizer="sgd")
    method.optimizer.build(method.trainable_variables)
    checkpoint.save(tmp_path / "train.npz", method.state, epoch=3)
    other = Anchor(small((8, 8, 1), [0.3], [0.4], width=3), 10, Threat("linf", 0.1))
    other.compile(optimizer="sgd")
    other.optimizer.build(other.trainable_variables)
    with pytest.raises(UserError, match="another model"):
        checkpoint.restore(tmp_path / "train.npz", other.state)


def test_schedule_warms_up_and_ends_at_zero():
    optimizer = training.optimizer(PHASE, steps=10)
    rates = [float(optimizer._learning_rate(step)) for step in range(41)]
    np.testing.assert_allclose(rates[:11], np.arange(11) * 0.005, atol=1e-7)
    np.testing.assert_allclose(rates[25], 0.025, rtol=1e-5)
    np.testing.assert_allclose(rates[40], 0.0, atol=1e-8)
    flat = training.optimizer(dataclasses.replace(PHASE, warmup_epochs=0.0), steps=10)
    assert float(flat._learning_rate(0)) == pytest.approx(0.05)
