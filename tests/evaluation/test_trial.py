"""A trial's subsets share what is compiled, and give what a trial of their own would."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.devices.distribution import Place
from anchor_tf.errors import UserError
from anchor_tf.evaluation.curve import accuracy_curve
from anchor_tf.evaluation.members import members_of
from anchor_tf.evaluation.runner import evaluate, evaluate_trial
from anchor_tf.evaluation.trial import Trial
from anchor_tf.threat import Threat

pytestmark = pytest.mark.numeric

ROWS = np.arange(3, 103, 2)


def tracing(network):
    """The network as a function, and a list that gets its batch's size whenever it is traced."""
    traced = []

    def model(batch):
        traced.append(batch.shape[0])
        return network(batch, training=False)

    return model, traced


def test_subset_equals_a_trial_of_its_own(network, images, labels, parse):
    (spec,) = parse("pgd(steps=3)")
    threat = Threat("linf", 0.05)
    part = Trial(network, images, labels, batch_size=32, seed=7).subset(ROWS)
    assert (part.batch_size, len(part.labels), part.clean_logits.shape) == (32, 50, (50, 4))
    shared = {"batch_size": 32, "seed": 7, "indices": ROWS}
    alone = evaluate(network, images[ROWS], labels[ROWS], [spec], threat, **shared)
    found = evaluate_trial(part, [spec], threat)
    np.testing.assert_array_equal(found.labels, alone.labels)
    np.testing.assert_array_equal(found.robust, alone.robust)
    np.testing.assert_array_equal(found.clean_correct, alone.clean_correct)
    # The rows keep their random starts: numbered anew they would get others.
    renumbered = Trial(network, images[ROWS], labels[ROWS], batch_size=32, seed=7)
    keep = {"keep_examples": True}
    moved = evaluate_trial(renumbered, [spec], threat, **keep).adversarial
    assert np.abs(moved - evaluate_trial(part, [spec], threat, **keep).adversarial).max() > 1e-3
    same = Trial(network, images[ROWS], labels[ROWS], **shared)
    assert accuracy_curve(part, spec, threat) == accuracy_curve(same, spec, threat)


def test_a_trial_serves_several_threats(network, images, labels, parse):
    attacks = parse("fgsm", "pgd(steps=3)")
    trial = Trial(network, images, labels, batch_size=64, seed=1)
    for threat in (Threat("linf", 0.05), Threat("l2", 0.4), Threat("linf", 0.02)):
        found = evaluate_trial(trial, attacks, threat)
        alone = evaluate(network, images, labels, attacks, threat, batch_size=64, seed=1)
        for one, two in zip(found.attacks, alone.attacks, strict=True):
            np.testing.assert_array_equal(one.robust, two.robust)
            assert one.settings == two.settings
        assert found.warnings == alone.warnings


def test_nothing_is_traced_twice(network, images, labels, parse):
    model, traces = tracing(network)
    trial = Trial(model, images, labels, batch_size=32, seed=0)
    assert len(traces) == 1
    threat = Threat("linf", 0.05)
    evaluate_trial(trial, parse("fgsm"), threat)
    first = len(traces)
    evaluate_trial(trial, parse("fgsm"), threat)
    evaluate_trial(trial.subset(ROWS), parse("fgsm"), threat)
    assert len(traces) == first
    # Another radius is compiled in anew; model and gradient are not.
    evaluate_trial(trial, parse("fgsm"), Threat("linf", 0.01))
    assert first < len(traces) < 2 * first


def test_few_images_are_attacked_in_a_smaller_batch(network, images, labels, parse):
    model, traced = tracing(network)
    trial = Trial(model, images, labels, batch_size=103, seed=0)
    (member,) = members_of(parse("pgd(steps=3)")[0], 4)
    found = {}
    for count, sizes in ((103, {103}), (52, set()), (51, {51}), (5, set())):
        traced.clear()
        ((rows, found[count], predictions, _),) = trial.attack(
            member, Threat("linf", 0.05), rows=np.arange(count)
        )
        assert len(rows) == len(found[count]) == len(predictions) == count
        assert set(traced) == sizes
    for count in (52, 51, 5):
        np.testing.assert_allclose(found[count], found[103][:count], atol=1e-6)


def test_with_xla_every_batch_has_one_size(network, images, labels, parse):
    model, traced = tracing(network)
    place = Place(tf.distribute.get_strategy(), xla=True)
    trial = Trial(model, images, labels, batch_size=103, seed=0, place=place)
    (member,) = members_of(parse("fgsm")[0], 4)
    ((rows, *_),) = trial.attack(member, Threat("linf", 0.05), rows=np.arange(5))
    assert len(rows) == 5
    assert set(traced) == {103}


def test_a_model_of_one_batch_size_is_refused(images, labels):
    inputs = keras.Input((6, 6, 1), batch_size=64)
    fixed = keras.Model(inputs, keras.layers.Dense(4)(keras.layers.Flatten()(inputs)))
    with pytest.raises(UserError, match="batches of 64 alone"):
        Trial(fixed, images, labels, batch_size=64, seed=0)


def test_batches_of_one_for_a_function_that_forgets_their_size(network, images, labels, parse):
    def forgetful(batch):  # as a SavedModel's signature is
        known = tf.compat.v1.placeholder_with_default(batch, [None, 6, 6, 1])
        return network(known, training=False)

    attacks = parse("cw(steps=3)", "fab(steps=2)")
    shared = {"batch_size": 1, "seed": 2}
    rows = slice(20, 24)
    found, expected = (
        evaluate(model, images[rows], labels[rows], attacks, Threat("linf", 0.05), **shared)
        for model in (forgetful, network)
    )
    for mine, theirs in zip(found.attacks, expected.attacks, strict=True):
        np.testing.assert_array_equal(mine.robust, theirs.robust)
