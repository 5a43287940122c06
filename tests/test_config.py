import dataclasses
import errno
import json
import zipfile

import numpy as np
import pytest

from anchor_tf import config
from anchor_tf.checkpoints import checkpoint_file
from anchor_tf.config import TrainConfig
from anchor_tf.errors import UserError
from anchor_tf.files import atomic
from anchor_tf.models import model_path
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
    "fold": None, "on_divergence": "stop",
}  # fmt: skip
RECIPE = {
    "backbone": "small", "epsilon": 0.1, "augment": "crop", "epochs": 30, "finetune_epochs": 5,
    "batch_size": 128, "learning_rate": 0.1, "warmup_epochs": 2.0, "ramp_epochs": 5.0,
}  # fmt: skip
DATA = {"data_sha256": "digits"}


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


@pytest.mark.parametrize("name", ["warmup_epochs", "ramp_epochs"])
def test_a_schedule_that_would_not_end_is_refused(name):
    assert getattr(resolved(epochs=6, **{name: 6.0}), name) == 6.0
    assert getattr(resolved(epochs=0, init_from="runs/x", **{name: 6.5}), name) == 6.5
    with pytest.raises(UserError, match=f"--{name}=6.5 would not end within --epochs=6"):
        resolved(epochs=6, **{name: 6.5})


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
    workdir.begin(resolved(), DATA)
    workdir.begin(resolved(), DATA)
    message = r"--awp=0\.0 \(now 0\.1\), --seed=0 \(now 1\);.*--epochs, .* may change"
    with pytest.raises(UserError, match=message):
        workdir.begin(dataclasses.replace(resolved(), epochs=40, seed=1, awp=0.1), DATA)
    assert config.load(workdir.config)[0] == resolved()


def test_a_run_goes_on_with_the_data_it_began_with(tmp_path):
    workdir = Workdir(tmp_path / "run")
    workdir.begin(resolved(), DATA)
    with pytest.raises(UserError, match="has begun on other data than --dataset=digits holds now"):
        workdir.begin(resolved(), {"data_sha256": "others"})


def test_a_trained_run_takes_no_flags_that_change_nothing_any_more(tmp_path):
    workdir = finished_run(tmp_path)
    wanted = dataclasses.replace(resolved(), validate_every=7)
    assert workdir.adopt(wanted, {"validate_every"}) == resolved()
    workdir.model.unlink()
    assert workdir.adopt(wanted, {"validate_every"}) == wanted


def test_flags_that_are_not_given_again_stay_as_they_were():
    first = resolved(epochs=60, warmup_epochs=3.0, on_divergence="skip")
    again = resolved()
    assert config.continued(first, again, {"method"}) == (first, [])
    longer, differing = config.continued(first, resolved(epochs=90), {"epochs"})
    assert not differing
    assert longer == dataclasses.replace(first, epochs=90)
    _, differing = config.continued(first, resolved(warmup_epochs=4.0), {"warmup_epochs"})
    assert differing == ["--warmup_epochs=3.0 (now 4.0)"]


def finished_run(path):
    workdir = Workdir(path)
    workdir.begin(resolved(), DATA)
    workdir.model.write_text("weights")
    workdir.report.write_text("{}")
    (workdir.path / "checkpoints" / "finetune").mkdir(parents=True)
    last = workdir.path / "checkpoints" / "train" / "000000300.npz"
    checkpoint_file.write(last, [], {"closed_epochs": 30})
    rows = "".join(f"train,{epoch}\n" for epoch in range(1, 31))
    workdir.history.write_text(f"phase,epoch\n{rows}finetune,1\n")
    return workdir


def test_more_epochs_put_aside_what_was_made_of_fewer(tmp_path):
    workdir = finished_run(tmp_path)
    longer = resolved(epochs=40)
    assert workdir.adopt(longer, {"epochs"}).epochs == 40
    workdir.begin(workdir.adopt(longer, {"epochs"}), DATA)
    before = tmp_path / "before" / "epochs_30"
    assert {path.name for path in before.iterdir()} == {"model.keras", "report.json", "finetune"}
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["train"]
    assert config.load(workdir.config)[0].epochs == 40
    assert workdir.earlier_epochs == [30]


def test_a_run_of_no_epochs_is_trained_when_it_becomes_longer(tmp_path):
    workdir = Workdir(tmp_path)
    start = {"init_from": "runs/other", "finetune": "none"}
    workdir.begin(resolved(epochs=0, **start), DATA)
    workdir.model.write_text("that of the other run")
    assert workdir.trained(resolved(epochs=0, **start))
    longer = workdir.adopt(resolved(epochs=20, **start), {"epochs"})
    workdir.begin(longer, DATA)
    assert not workdir.trained(longer)
    assert [path.name for path in tmp_path.glob("before/epochs_0/*")] == ["model.keras"]


def test_what_was_put_aside_stays_when_that_is_interrupted(tmp_path, monkeypatch):
    workdir = finished_run(tmp_path)
    longer = workdir.adopt(resolved(epochs=40), {"epochs"})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("anchor_tf.workdir.config.save", full)
        with pytest.raises(UserError, match="No space"):
            workdir.begin(longer, DATA)
    workdir.model.write_text("made again")
    workdir.begin(longer, DATA)
    models = sorted(path.read_text() for path in tmp_path.glob("before/*/model.keras"))
    assert len(models) == 2
    assert "made again" in models


def test_a_training_under_way_keeps_its_length(tmp_path):
    workdir = finished_run(tmp_path)
    workdir.begin(workdir.adopt(resolved(epochs=40), {"epochs"}), DATA)
    for epochs in (20, 30):  # 30 are done, and more steps may be
        with pytest.raises(UserError, match=rf"--epochs={epochs}: .* has begun 40"):
            workdir.adopt(resolved(epochs=epochs), {"epochs"})
    with pytest.raises(UserError, match=r"--epochs=50: .* has saved 30 of 40"):
        workdir.adopt(resolved(epochs=50), {"epochs"})
    assert workdir.adopt(resolved(epochs=40), {"epochs"}).epochs == 40


def test_epochs_that_no_whole_checkpoint_holds_are_not_done(tmp_path):
    workdir = finished_run(tmp_path)
    last = tmp_path / "checkpoints" / "train" / "000000300.npz"
    checkpoint_file.write(last.with_name("000000250.npz"), [], {"closed_epochs": 25})
    last.write_bytes(last.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"has saved 25 of 30; choose another --workdir"):
        workdir.adopt(resolved(epochs=40), {"epochs"})
    workdir.model.unlink()
    with pytest.raises(UserError, match=r"has saved 25 of 30; let them finish first"):
        workdir.adopt(resolved(epochs=40), {"epochs"})


def test_a_run_that_has_not_begun_may_take_any_length(tmp_path):
    workdir = Workdir(tmp_path)
    workdir.begin(resolved(), DATA)
    workdir.begin(workdir.adopt(resolved(epochs=2), {"epochs"}), DATA)
    assert config.load(workdir.config)[0].epochs == 2
    assert workdir.earlier_epochs == []


def test_trained_means_the_last_epoch_s_model_too(tmp_path):
    workdir = finished_run(tmp_path)
    best = resolved(select="best")
    assert workdir.trained(resolved())
    assert not workdir.trained(best)
    workdir.last_model.write_text("weights")
    assert workdir.trained(best)


def test_finished_means_a_whole_export_of_this_model(tmp_path):
    workdir = finished_run(tmp_path)
    (workdir.export / ".partial.1.version").mkdir(parents=True)
    assert not workdir.finished
    source = workdir.export / "1" / model_path.SOURCE
    source.parent.mkdir(parents=True)
    source.write_text("of another model")
    assert not workdir.finished
    source.write_text(model_path.digest(workdir.model))
    assert workdir.finished


def test_tidying_sets_damaged_models_aside_and_removes_half_written_files(tmp_path, capsys):
    workdir = Workdir(tmp_path)
    with zipfile.ZipFile(workdir.model, "w") as archive:
        archive.writestr("weights", b"123456")
    content = workdir.model.read_bytes()
    half = atomic.temporary_path(tmp_path / "logs" / "projector" / "sprite.png")
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    workdir.tidy()
    assert workdir.model.exists()
    assert not half.exists()
    workdir.model.write_bytes(content.replace(b"123456", b"123356"))
    workdir.tidy()
    assert not workdir.model.exists()
    assert "model.keras is damaged: set aside" in capsys.readouterr().out


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
        Workdir(tmp_path).begin(resolved(), DATA)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="--workdir"):
        Workdir(tmp_path / "file" / "run").begin(resolved(), DATA)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "thesis.tex"]


PGD = {"name": "pgd", "steps": 10, "at_most": False}


@pytest.mark.parametrize(
    ("phases", "attacked"),
    [
        ({}, False),
        ({"train": {"epochs": 3, "attack": None}}, False),
        ({"train": {"epochs": 3, "attack": PGD}}, True),
        ({"train": {"epochs": 3, "attack": None}, "finetune": {"epochs": 1, "attack": PGD}}, True),
    ],
)
def test_phases_are_read_back_and_say_whether_a_radius_was_trained_at(tmp_path, phases, attacked):
    path = tmp_path / "config.json"
    config.save(path, resolved(), {"phases": phases})
    run, facts = config.load(path)
    assert config.phases(path, facts) == phases
    assert config.training_radius(run, phases) == (run.epsilon if attacked else None)


@pytest.mark.parametrize(
    "phases",
    [
        None,
        [],
        {"train": 3},
        {"train": {"attack": None}},
        {"train": {"epochs": 3}},
        {"train": {"epochs": "3", "attack": None}},
        {"train": {"epochs": 3, "attack": {"name": "pgd"}}},
        {"train": {"epochs": 3, "attack": {"steps": 10, "name": 7}}},
    ],
)
def test_damaged_phases_are_refused(tmp_path, phases):
    with pytest.raises(UserError, match=r"config\.json is damaged: phases"):
        config.phases(tmp_path / "config.json", {"phases": phases})
