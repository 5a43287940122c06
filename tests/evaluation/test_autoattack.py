"""The suite: its members in order, each on the survivors, in function and in evaluation."""

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import keyed_random, specs
from anchor_tf.attacks import autoattack as suite
from anchor_tf.attacks import run_rounds as rounds
from anchor_tf.evaluation import estimate
from anchor_tf.evaluation.runner import evaluate
from anchor_tf.evaluation.trial import Trial
from anchor_tf.threat import Threat

pytestmark = pytest.mark.numeric

THREAT = Threat("linf", 0.02)
SHORT = {
    "apgd-ce": "apgd(steps=5)",
    "apgd-t": "apgd(objective=targeted_dlr,steps=5,targets=3)",
    "fab-t": "fab(steps=5,targets=3)",
    "square": "square(queries=60)",
}


@pytest.fixture
def short(monkeypatch):
    """AutoAttack with few steps."""
    monkeypatch.setitem(suite._VERSIONS, "standard", SHORT)


@pytest.fixture
def evaluation(short, network, images, labels, parse):
    attacks = parse("autoattack", SHORT["apgd-ce"], SHORT["square"])
    return evaluate(network, images, labels, attacks, THREAT, batch_size=32, seed=3)


def test_members_are_cumulative(evaluation):
    members = evaluation.attacks[0].settings["members"]
    assert list(members) == ["apgd-ce", "apgd-t", "fab-t", "square"]
    accuracies = [member["accuracy"] for member in members.values()]
    assert accuracies == sorted(accuracies, reverse=True)
    assert accuracies[-1] == evaluation.attacks[0].accuracy
    assert accuracies[0] == evaluation.attacks[1].accuracy
    assert accuracies[0] > accuracies[-1]
    assert members["apgd-ce"]["steps"] == 5


def test_suite_is_at_most_each_member(evaluation):
    whole, *members = evaluation.attacks
    for member in members:
        assert not np.any(whole.robust & ~member.robust)


def test_function_equals_evaluation(short, evaluation, network, images, labels):
    x = tf.constant(images.astype(np.float32) / 255.0)
    logits_fn = lambda batch: network(batch, training=False)  # noqa: E731
    robust = []
    for name, member in suite.members(4, version="standard").items():
        keys = keyed_random.fold(keyed_random.example_keys(3, 0, tf.range(103)), member.name)
        attack = rounds.rounds_of(member)
        result = rounds.run(attack, logits_fn, x, labels, THREAT, keys)
        correct = logits_fn(result).numpy().argmax(axis=1) == labels
        robust.append(correct & evaluation.clean_correct)
        assert name in SHORT
    np.testing.assert_array_equal(np.all(robust, axis=0), evaluation.attacks[0].robust)


def test_pure_function_stays_inside_and_breaks_as_much(short, evaluation, network, images, labels):
    x = tf.constant(images.astype(np.float32) / 255.0)
    logits_fn = lambda batch: network(batch, training=False)  # noqa: E731
    result = suite.autoattack(logits_fn, x, tf.constant(labels, tf.int32), THREAT, seed=3)
    assert np.max(THREAT.distance(result, x)) <= 0.02 + 1e-6
    accuracy = np.mean(logits_fn(result).numpy().argmax(axis=1) == labels)
    assert abs(accuracy - evaluation.attacks[0].accuracy) < 0.05
    assert accuracy < evaluation.clean_accuracy - 0.05


def test_versions_are_the_official_ones():
    standard = suite.members(10, version="standard")
    assert list(standard) == ["apgd-ce", "apgd-t", "fab-t", "square"]
    assert list(suite.members(10, version="plus")) == [
        "apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t",
    ]  # fmt: skip
    assert list(suite.members(10, version="rand")) == ["apgd-ce", "apgd-dlr"]
    assert list(suite.members(3, version="standard")) == ["apgd-ce", "fab-t", "square"]
    passes = [estimate.passes_of(member, 10) for member in standard.values()]
    gradients = [gradient for _, gradient in passes]
    assert gradients[0] in (100, 101)
    assert gradients[1] in (900, 909)
    assert gradients[2] in (900, 909)
    assert 5000 <= passes[3][0] <= 5100


def test_estimate_grows_with_the_attack(network, images, labels, parse):
    trial = Trial(network, images, labels, batch_size=103, seed=0)
    short = estimate.work_of(parse("pgd(steps=10)"), 10)
    long = estimate.work_of(parse("pgd(steps=10,restarts=50)", "square(queries=300)"), 10)
    assert short == estimate.Work(forwards=1, gradients=10)  # and an image is classified again
    assert long == estimate.Work(forwards=50 + 303 + 3, gradients=500)
    assert estimate.seconds(trial, short) > 0.0


def test_members_run_with_the_published_settings():
    def settings(version):
        return {
            name: specs.arguments_of(specs.load(member, "anchor_tf.attacks"), member)
            for name, member in suite.members(10, version=version).items()
        }

    standard, plus, rand = map(settings, ("standard", "plus", "rand"))
    assert standard["square"] == {"queries": 5000, "initial_fraction": 0.8}
    assert standard["fab-t"] == {
        "steps": 100, "targets": 9, "restarts": 1, "targeted": True,
        "alpha_max": 0.1, "eta": 1.05, "beta": 0.9,
    }  # fmt: skip
    assert [(one["samples"], one["objective"]) for one in rand.values()] == [
        (20, "ce"),
        (20, "dlr"),
    ]
    assert [plus[name]["restarts"] for name in ("apgd-ce", "apgd-dlr", "fab")] == [5, 5, 5]
    assert not plus["fab"]["targeted"]
    assert plus["apgd-dlr"]["objective"] == "dlr"
