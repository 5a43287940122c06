import dataclasses
import json

import numpy as np
import pytest

from anchor_tf import config
from anchor_tf.config import TrainConfig
from anchor_tf.errors import UserError
from anchor_tf.workdir import Workdir

FLAGS = {
    "method": "anchor", "dataset": "digits", "backbone": None, "norm": ["linf"], "epsilon": None,
    "attack_steps": 10, "epochs": None, "finetune": "auto", "finetune_epochs": None,
    "batch_size": None, "learning_rate": None, "finetune_learning_rate": 0.01,
    "weight_decay": 5e-4, "warmup_epochs": None, "ramp_epochs": None, "augment": None,
    "train_examples": None, "validate_every": None, "seed": 0, "attacks": "fgsm", "examples": None,
    "workdir": None, "finetune_optimizer": "sgd", "training_attack": "pgd", "label_smoothing": 0.0,
    "precision": "float32", "ema_decay": 0.0, "awp": 0.0, "clip_norm": 0.0,
    "batch_norm": "synchronized", "select": "last", "init_from": None,
    "fold": None,
}  # fmt: skip
RECIPE = {
    "backbone": "small", "epsilon": 0.1, "augment": "crop", "epochs": 30, "finetune_epochs": 5,
    "batch_size": 128, "learning_rate": 0.1, "warmup_epochs": 2.0, "ramp_epochs": 5.0,
}  # fmt: skip


def resolved(**flags):
    return TrainConfig.resolve({**FLAGS, **flags}, RECIPE)


def test_recipe_fills_what_the_flags_leave_open():
    settings = resolved(epochs=7, epsilon=[0.2])
    assert (settings.epochs, settings.epsilon, settings.backbone) == (7, 0.2, "small")
    assert settings.norm == "linf"
    assert resolved().validate_every == 3
    assert resolved(epochs=4).validate_every == 1


@pytest.mark.parametrize("flags", [{"epsilon": [0.1, 0.2]}, {"norm": ["linf", "l2"]}])
def test_training_takes_one_threat(flags):
    with pytest.raises(UserError, match=next(iter(flags))):
        resolved(**flags)


@pytest.mark.parametrize("name", ["learning_rate", "awp", "ramp_epochs"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_must_be_finite(name, value):
    with pytest.raises(UserError, match=f"--{name}=.* finite"):
        resolved(**{name: value})


def test_a_shorter_training_keeps_its_share_of_warm_up_and_ramp():
    short = resolved(epochs=6)
    np.testing.assert_allclose([short.warmup_epochs, short.ramp_epochs], [0.4, 1.0])
    assert resolved(epochs=6, ramp_epochs=3.0).ramp_epochs == 3.0
    assert resolved(select="best").validate_every == 1


def test_no_epochs_need_something_to_start_from():
    with pytest.raises(UserError, match="--epochs=0 needs --init_from"):
        resolved(epochs=0)
    assert resolved(epochs=0, init_from="runs/a").epochs == 0


def test_json_round_trip(tmp_path):
    path = tmp_path / "config.json"
    config.save(path, resolved(), {"class_names": ["a", "b"]})
    assert config.load(path) == (resolved(), {"class_names": ["a", "b"]})
    assert [p.name for p in tmp_path.iterdir()] == ["config.json"]


def test_unreadable_configurations_are_refused(tmp_path):
    path = tmp_path / "config.json"
    with pytest.raises(UserError, match="not a finished run"):
        config.load(path)
    for text in ("", "[]", '{"version": 1}', json.dumps({"version": 0, "train": {}})):
        path.write_text(text)
        with pytest.raises(UserError, match=r"config\.json"):
            config.load(path)


def test_workdir_refuses_another_configuration(tmp_path):
    workdir = Workdir(tmp_path / "run")
    workdir.begin(resolved(), {})
    workdir.begin(resolved(), {})
    with pytest.raises(UserError, match=r"--epochs=30 \(now 8\), --seed=0 \(now 1\)"):
        workdir.begin(dataclasses.replace(resolved(), epochs=8, seed=1), {})
    assert config.load(workdir.config)[0] == resolved()


def test_finished_means_a_whole_export(tmp_path):
    workdir = Workdir(tmp_path)
    workdir.begin(resolved(), {})
    workdir.report.write_text("{}")
    (workdir.export / ".partial.1").mkdir(parents=True)
    assert not workdir.finished
    (workdir.export / "1").mkdir()
    assert not workdir.finished
    (workdir.export / "1" / "saved_model.pb").write_text("")
    assert workdir.finished


def test_checking_a_workdir_changes_nothing(tmp_path):
    Workdir(tmp_path / "run").check(resolved())
    assert not (tmp_path / "run").exists()


def test_another_norm_needs_its_own_epsilon():
    with pytest.raises(UserError, match="needs --epsilon"):
        resolved(norm=["l2"])
    assert resolved(norm=["l2"], epsilon=[0.5]).epsilon == 0.5


def test_workdir_refuses_a_folder_of_something_else(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="not empty"):
        Workdir(tmp_path).begin(resolved(), {})
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="--workdir"):
        Workdir(tmp_path / "file" / "run").begin(resolved(), {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "thesis.tex"]
