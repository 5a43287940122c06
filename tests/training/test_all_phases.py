"""What the flags ask for reaches the method and its phases, in order."""

import dataclasses
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import specs
from anchor_tf.config import TrainConfig
from anchor_tf.devices import precision
from anchor_tf.devices.distribution import Place
from anchor_tf.pipelines.sources.digits import digits
from anchor_tf.training import all_phases, construction, one_phase
from anchor_tf.training.phase import Phase, optimizer
from anchor_tf.training.run import TrainingRun
from anchor_tf.workdir import Workdir
from tests.methods.method_cases import build

pytestmark = pytest.mark.numeric

FLAGS = {
    **{field.name: None for field in dataclasses.fields(TrainConfig)},
    "method": "pgd_at", "dataset": "digits", "norm": ["linf"], "attack_steps": 3,
    "training_attack": "pgd", "precision": "float32", "finetune": "slf", "finetune_epochs": 3,
    "finetune_learning_rate": 0.02, "finetune_optimizer": "adam", "weight_decay": 0.3,
    "label_smoothing": 0.1, "ema_decay": 0.9, "awp": 0.01, "clip_norm": 2.0,
    "batch_norm": "synchronized", "on_divergence": "skip", "select": "best", "seed": 7,
    "backbone": "small(width=2)", "epochs": 4, "batch_size": 64, "learning_rate": 0.05,
    "warmup_epochs": 1.0, "ramp_epochs": 2.0, "attacks": "fgsm",
}  # fmt: skip


@pytest.fixture
def config():
    return TrainConfig.resolve(FLAGS, dataclasses.asdict(digits().recipe))


def run_of(config, folder, place=None):
    place = place or Place(tf.distribute.get_strategy())
    return TrainingRun(config, None, None, Workdir(folder), place, None, None)


def test_every_flag_reaches_the_method(config):
    method_spec = specs.check(specs.parse("pgd_at"), "anchor_tf.methods", "method")
    method = construction.build(config, method_spec, digits(), Place(tf.distribute.get_strategy()))
    assert (method.attack_steps, method.weight_perturbation, method.label_smoothing) == (
        3,
        0.01,
        0.1,
    )
    assert (method.clip_norm, method.weight_decay, method.seed) == (2.0, 0.3, 7)
    assert method.average.decay == 0.9
    assert method.guard.skips
    assert method.epsilon_ramp_steps == 2 * (1293 // 64)


def test_phases_follow_one_another(config, monkeypatch, tmp_path):
    told = []

    def train(method, phase, run):
        told.append((phase.name, phase.epochs, phase.learning_rate, phase.optimizer))

    monkeypatch.setattr(one_phase, "train", train)
    monkeypatch.setattr(one_phase, "take_best", lambda *_: told.append("best"))
    monkeypatch.setattr(all_phases, "_save", lambda method, path, run: told.append(path.name))
    all_phases.train(build("pgd_at"), run_of(config, tmp_path))
    tuned = (3, 0.02, "adam")
    assert told == [
        ("train", 4, 0.05, "sgd"),
        ("finetune_last", *tuned),
        "last.keras",
        "best",
        ("finetune", *tuned),
        "model.keras",
    ]


def test_what_was_trained_in_16_bits_is_saved_in_32(config, tmp_path):
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        all_phases._save(build("pgd_at"), tmp_path / "model.keras", run_of(config, tmp_path))
    finally:
        precision.use("float32", 1)
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert b"mixed" not in archive.read("config.json")


def test_the_optimizer_is_nesterov_s():
    made = optimizer(Phase("train", 4, 0.05, 0.0), steps=1000)
    weight, speed, place = keras.Variable([0.0]), 0.0, 0.0
    for _ in range(3):
        made.apply([tf.constant([1.0])], [weight])
        speed = 0.9 * speed - 0.05
        place += 0.9 * speed - 0.05
    np.testing.assert_allclose(weight, [place], rtol=1e-3)
