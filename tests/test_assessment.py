"""A whole assessment in one process: what its report and outcomes hold, and that they agree."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import specs
from anchor_tf.assessment import Assessment, assess
from anchor_tf.backbones.small import small
from anchor_tf.evaluation import curve
from anchor_tf.models import model_file
from anchor_tf.pipelines import load
from anchor_tf.threat import Threat


@pytest.fixture(scope="module")
def data():
    return load.load(load.check(specs.parse("digits")))


@pytest.fixture(scope="module")
def models(data):
    """A classifier of digits after a few epochs, and after a few more."""
    keras.utils.set_random_seed(0)
    backbone = small(data.image_shape, *data.channel_mean_and_std(), width=4)
    images = keras.Input(data.image_shape, name="images")
    model = keras.Model(images, keras.layers.Dense(10)(backbone(images)))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    found = []
    for _ in range(2):
        model.fit(data.train.images, data.train.labels, epochs=2, verbose=0, shuffle=False)
        found.append(keras.models.clone_model(model))
        found[-1].set_weights(model.get_weights())
    return found


def wanted(**changes):
    fields = {
        "dataset": "digits",
        "attacks": specs.check_list("fgsm,pgd(steps=3)", "anchor_tf.attacks", "attack"),
        "threats": [Threat("linf", 0.1), Threat("l2", 0.5)],
        "seed": 3,
        "examples": 60,
        "batch_size": 32,
        "training_epsilon": None,
        "save_examples": None,
        "facts": {"method": "ce"},
    }
    return Assessment(**{**fields, **changes})


@pytest.fixture(scope="module")
def assessed(models, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("assessed")
    best, last = models
    saved = str(folder / "examples.npz")
    assess(best, data, wanted(split="fold 1", save_examples=saved, warnings=["odd"]), folder, last)
    return folder, json.loads((folder / "report.json").read_text())


def test_outcomes_agree_with_report_and_examples(assessed, data):
    folder, report = assessed
    with np.load(folder / "outcomes.npz", allow_pickle=False) as file:
        outcomes = dict(file)
    np.testing.assert_array_equal(data.test.labels[outcomes["indices"]], outcomes["labels"])
    assert np.bincount(outcomes["labels"]).tolist() == [6] * 10
    assert outcomes["worst_case"].mean() == report["worst_case"]["accuracy"]
    assert dict(zip(outcomes["attacks"], outcomes["robust"].mean(axis=1), strict=True)) == {
        text: entry["accuracy"] for text, entry in report["attacks"].items()
    }
    with np.load(folder / "examples.npz") as examples:
        np.testing.assert_array_equal(examples["robust"], outcomes["worst_case"])
        np.testing.assert_array_equal(examples["x"], data.test.images[outcomes["indices"]])


def test_last_is_what_the_other_model_would_get(assessed, models, data, tmp_path):
    _, report = assessed
    assert report["split"] == "fold 1"
    assess(models[1], data, wanted(), tmp_path)
    other = json.loads((tmp_path / "report.json").read_text())
    assert "last" not in other
    assert other["split"] == "test"
    for key in ("norm", "epsilon", "clean", "worst_case"):
        assert report["last"][key] == other[key]
    for text, entry in other["attacks"].items():
        assert report["last"]["attacks"][text]["accuracy"] == entry["accuracy"]
    assert report["last"]["clean"] != report["clean"]
    assert report["warnings"] == [*other["warnings"], "odd"]


def test_what_the_data_leave_out_is_in_the_report(models, data, tmp_path, capsys):
    data = dataclasses.replace(data, left_out=("two files are left out",))
    assess(models[0], data, wanted(threats=[Threat("linf", 0.1)]), tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert "two files are left out" in report["warnings"]
    assert "warning: two files are left out" in capsys.readouterr().out


def test_representation(assessed):
    measures = assessed[1]["representation"]
    assert (measures["training_examples"], measures["examples"], measures["k"]) == (1293, 60, 10)
    for reader in ("knn", "linear_probe"):
        assert 0.0 < measures[reader]["attacked"] < measures[reader]["clean"] <= 1.0
        assert measures[reader]["clean"] > 0.7
    assert 0.0 < measures["adversarial_shift"] < 2.0
    assert measures["intra_class_distance"] < measures["inter_class_distance"]


def test_no_trace_of_the_journal_is_left(assessed):
    names = {entry.name for entry in assessed[0].iterdir()}
    reports = {"report.json", "report.md", "report.html", "model_card.md"}
    assert names == {*reports, "outcomes.npz", "plots", "examples.npz"}
    assert (assessed[0] / "report.html").read_text().count("<img") == 3


@pytest.mark.slow
def test_a_killed_assessment_continues_with_both_models(
    assessed, models, data, tmp_path, monkeypatch, capsys
):
    best, last = models
    with monkeypatch.context() as patch:
        patch.setattr("anchor_tf.assessment.report.write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            assess(best, data, wanted(), tmp_path, last)
    capsys.readouterr()
    assess(best, data, wanted(), tmp_path, last)
    # Two batches an attack at most, two attacks, two threats and the last epoch's.
    printed = capsys.readouterr().out
    step = int(printed.partition("resumed: phase=evaluate step=")[2].split()[0])
    assert 10 <= step <= 12
    report = json.loads((tmp_path / "report.json").read_text())
    for key in ("worst_case", "curve", "representation", "classes"):
        assert report[key] == assessed[1][key]
    assert report["last"]["worst_case"] == assessed[1]["last"]["worst_case"]
    assert not (tmp_path / "evaluation").exists()


@pytest.mark.slow
def test_a_killed_transfer_attack_begins_anew_where_the_other_model_was_replaced(
    models, data, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("anchor_tf.assessment.report.write", lambda *_: 1 / 0)
    other = tmp_path / "other.keras"
    attack = specs.check_list(f"transfer(model={other},steps=2)", "anchor_tf.attacks", "attack")
    resumed = []
    for model in (models[0], None, models[1]):
        if model:
            model_file.save(model, other)
        with pytest.raises(ZeroDivisionError):
            assess(models[0], data, wanted(attacks=attack, examples=20), tmp_path / "folder")
        resumed.append("resumed" in capsys.readouterr().out)
    assert resumed == [False, True, False]


def test_a_model_without_a_backbone_has_no_representation(models, data, tmp_path):
    assess(lambda x: models[0](x, training=False), data, wanted(examples=20), tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert "representation" not in report
    assert report["examples"] == 20


def test_a_model_may_know_more_classes_than_the_data(models, data, tmp_path):
    few = data.test.take(np.flatnonzero(data.test.labels < 3))
    train = data.train.take(np.flatnonzero(data.train.labels < 3))
    names = data.class_names[:3]
    part = dataclasses.replace(data, train=train, test=few, class_names=names)
    strong = [Threat("linf", 0.3)]  # some are taken for classes beyond the third
    assess(models[0], part, wanted(examples=30, threats=strong), tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert set(report["classes"]) == set(names)
    answers = {entry["answer"] for entry in report["confusions"]}
    assert any(answer.startswith("class ") for answer in answers)


def test_masked_gradients_are_told_in_the_report(models, data, tmp_path, monkeypatch):
    def masked(images):
        return models[0](tf.round(4.0 * images) / 4.0, training=False)

    monkeypatch.setattr(curve, "accuracy_curve", lambda *_: [(0.0, 0.5), (0.1, 0.3), (0.2, 0.6)])
    assess(masked, data, wanted(examples=40), tmp_path)
    told = " ".join(json.loads((tmp_path / "report.json").read_text())["warnings"])
    assert "withstand pgd(steps=40,objective=margin) at epsilon 1" in told
    assert "accuracy rises with epsilon" in told


class Counting:
    """Labels that stand in the first pixel, whatever is done to it; counts the images it sees."""

    def __init__(self, digest):
        self.digest, self.images = digest, 0

    def __call__(self, x):
        def count(size):
            self.images += int(size)
            return np.int32(0)

        with tf.control_dependencies([tf.numpy_function(count, [tf.shape(x)[0]], tf.int32)]):
            labels = tf.cast(tf.round(tf.reduce_mean(x, axis=(1, 2, 3)) * 0.0), tf.int32)
        return tf.one_hot(labels, 10) + 0.0 * tf.reduce_sum(x, axis=(1, 2, 3))[:, tf.newaxis]


def test_the_time_that_is_told_counts_all_that_runs(data, tmp_path, monkeypatch, capsys):
    zeros = data.test.take(np.flatnonzero(data.test.labels == 0)[:16])
    part = dataclasses.replace(data, test=zeros, train=data.train.take(np.arange(40)))
    model, last, told = Counting("one"), Counting("other"), {}

    def seconds(trial, work):
        told.update(work=work, before=model.images + last.images)
        return 3600.0

    monkeypatch.setattr("anchor_tf.assessment.estimate.seconds", seconds)
    attacks = specs.check_list(
        "pgd(steps=3,restarts=2),square(queries=20)", "anchor_tf.attacks", "attack"
    )
    threats = [Threat("linf", 0.1), Threat("linf", 0.05)]
    options = {"attacks": attacks, "threats": threats, "examples": None, "batch_size": 16}
    assess(model, part, wanted(**options), tmp_path, last)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["worst_case"]["accuracy"] == 1.0
    counted = model.images + last.images - told["before"]
    work = told["work"]
    # The rest: a look at outputs and gradients of a batch for each threat and for the last epoch.
    assert work.forwards + work.gradients >= counted - 3 * 3 * 16
    assert work.forwards + work.gradients <= 1.1 * counted
    assert (
        "this takes at most about 1:00:00 and compilation, less the more" in capsys.readouterr().out
    )


def test_an_attack_that_does_not_tell_its_passes_is_named(
    models, data, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("anchor_tf.assessment.WORTH_TELLING", -1.0)
    monkeypatch.delattr("anchor_tf.attacks.fgsm.passes")
    assess(models[0], data, wanted(examples=20), tmp_path)
    assert "and compilation, not counting fgsm, less the more" in capsys.readouterr().out
