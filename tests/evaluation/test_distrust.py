"""No attack is trusted: what leaves the threat is an error, and success is ours to establish."""

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.evaluation.runner import evaluate
from anchor_tf.evaluation.verification import AttackError
from anchor_tf.threat import Threat

pytestmark = pytest.mark.numeric

BOX = r"pgd\(steps=3\) left the box"
LINF = r"pgd\(steps=3\) left the linf ball: distance 0\.1"
L2 = r"pgd\(steps=3\) left the l2 ball"


def _shifted(amount):
    """Moves every pixel by `amount`, towards the middle of the box."""
    return lambda x: x + tf.where(x > 0.5, -amount, amount)


@pytest.mark.parametrize(
    ("change", "norm", "message"),
    [
        (_shifted(0.10001), "linf", LINF),
        (_shifted(0.0168), "l2", L2),
        (_shifted(0.1 / 6 * (1 + 1e-4)), "l2", L2),
        (lambda x: tf.where(x > 0.97, np.nextafter(np.float32(1), np.float32(2)), x), "linf", BOX),
        (lambda x: tf.where(x > 0.97, 1.0001, x), "linf", BOX),
        (lambda x: tf.where(x < 0.03, -0.0001, x), "linf", BOX),
        (lambda x: tf.where(x > 0.9, np.nan, x), "linf", "NaN or infinite"),
        (lambda x: tf.where(x > 0.9, np.inf, x), "linf", "NaN or infinite"),
        (lambda x: x[:, :, :3], "linf", "returned shape"),
    ],
)
def test_a_cheating_attack_is_named(
    network, images, labels, parse, replace_attack, change, norm, message
):
    replace_attack(lambda logits_fn, x, *rest, **settings: change(x))
    with pytest.raises(AttackError, match=message):
        evaluate(network, images, labels, parse("pgd(steps=3)"), Threat(norm, 0.1))


@pytest.mark.parametrize(("norm", "amount"), [("linf", 0.1), ("l2", 0.1 / 6)])
def test_the_edge_of_the_ball_is_allowed(
    network, images, labels, parse, replace_attack, norm, amount
):
    change = _shifted(amount)
    replace_attack(lambda logits_fn, x, *rest, **settings: change(x))
    evaluate(network, images, labels, parse("pgd"), Threat(norm, 0.1))


def test_success_is_established_by_the_model_not_by_the_attack(
    network, images, labels, parse, replace_attack
):
    """An attack that does nothing breaks nothing, though it was given a model that is never right.

    The fake calls `logits_fn`, whose answers it could have misread; the runner asks again.
    """
    replace_attack(lambda logits_fn, x, *rest, **settings: x)
    evaluation = evaluate(network, images, labels, parse("pgd"), Threat("linf", 0.1))
    np.testing.assert_array_equal(evaluation.attacks[0].robust, evaluation.clean_correct)


def test_logits_that_are_not_finite_count_as_broken(network, images, labels, parse, replace_attack):
    replace_attack(lambda logits_fn, x, *rest, **settings: tf.minimum(x + 1e-3, 1.0))

    def fragile(x):
        logits = network(x, training=False)
        grey_levels = x[:, 0, 0] * 255.0
        moved = tf.abs(grey_levels - tf.round(grey_levels)) > 0.1
        return tf.where(moved, np.nan, logits)

    evaluation = evaluate(fragile, images, labels, parse("pgd"), Threat("linf", 0.1))
    bright = images[:, 0, 0, 0] == 255
    assert not evaluation.robust[~bright].any()
    count = int((evaluation.clean_correct & ~bright).sum())
    assert f"NaN or infinite on {count} adversarial images" in evaluation.warnings[0]
