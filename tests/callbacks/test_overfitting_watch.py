import types

import pytest

from anchor_tf.callbacks import overfitting_watch
from anchor_tf.callbacks.overfitting_watch import OverfittingWatch, catastrophic_epoch

ATTACKED, CLEAN = (types.SimpleNamespace(attacks=lambda told=told: told) for told in (True, False))
PHASES = {"train": {"attack": {"name": "pgd", "steps": 10}}, "finetune": {"attack": None}}


@pytest.mark.parametrize(
    ("robust", "expected"),
    [
        ([], None),
        ([(1, 0.3), (2, 0.5), (3, 0.26)], None),  # robust overfitting, not a catastrophe
        ([(1, 0.3), (2, 0.5), (3, 0.24), (4, 0.0)], 3),
        ([(1, 0.19), (2, 0.05)], None),  # about chance among 10 classes: nothing to lose
    ],
)
def test_a_fall_below_half_of_the_best(robust, expected):
    assert catastrophic_epoch(robust, classes=10) == expected


def test_the_report_names_epoch_and_fall(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text(
        "phase,epoch,validation_robust\ntrain,1,0.5\ntrain,2,\ntrain,3,0.1\nfinetune,1,0.1\n"
    )
    (warning,) = overfitting_watch.warnings(path, 10, "last", PHASES)
    assert "fell from 50.0% to 10.0% at epoch 3" in warning
    assert "--select=best" in warning
    assert "--select=best" not in overfitting_watch.warnings(path, 10, "best", PHASES)[0]
    assert overfitting_watch.warnings(path, 10, "last", {"train": {"attack": None}}) == []
    path.write_text("phase,epoch,validation_robust\ntrain,1,0.5\ntrain,3,0.4\n")
    assert overfitting_watch.warnings(path, 10, "last", PHASES) == []
    assert overfitting_watch.warnings(tmp_path / "missing.csv", 10, "last", PHASES) == []


def test_two_classes_have_something_to_lose():
    assert catastrophic_epoch([(1, 0.95), (2, 0.0)], classes=2) == 2
    assert catastrophic_epoch([(1, 0.7), (2, 0.3)], classes=2) is None


def test_a_continued_watch_knows_what_went_before(tmp_path, capsys):
    path = tmp_path / "history.csv"
    path.write_text("phase,epoch,validation_robust\ntrain,1,0.6\ntrain,2,0.1\n")
    watch = OverfittingWatch("train", 10, path, 1, "last")  # the second epoch is done again
    watch.set_model(ATTACKED)
    watch.on_train_begin()
    watch.on_epoch_end(1, {"validation_robust": 0.1})
    assert "fell from 60.0% to 10.0% at epoch 2" in capsys.readouterr().out


@pytest.mark.parametrize(("model", "told"), [(ATTACKED, 1), (CLEAN, 0)])
def test_the_watch_tells_once_and_of_attacks_alone(tmp_path, capsys, model, told):
    watch = OverfittingWatch("train", 10, tmp_path / "history.csv", 0, "last")
    watch.set_model(model)
    watch.on_train_begin()
    for epoch, robust in enumerate([0.6, 0.1, 0.05]):
        watch.on_epoch_end(epoch, {"validation_robust": robust})
        watch.on_epoch_end(epoch, {})
    assert capsys.readouterr().out.count("warning: phase train") == told
