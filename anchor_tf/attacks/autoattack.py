"""AutoAttack: an ensemble of four attacks without parameters to tune."""

import functools
from typing import Literal

import numpy as np
import tensorflow as tf

from anchor_tf import keyed_random, specs
from anchor_tf.attacks.array_calls import ArrayCall
from anchor_tf.attacks.inputs import per_image, takes_arrays
from anchor_tf.attacks.run_rounds import rounds_of, run
from anchor_tf.losses.classification import margin

_VERSIONS = {
    "standard": {
        "apgd-ce": "apgd",
        "apgd-t": "apgd(objective=targeted_dlr)",
        "fab-t": "fab",
        "square": "square",
    },
    "plus": {
        "apgd-ce": "apgd(restarts=5)",
        "apgd-dlr": "apgd(objective=dlr,restarts=5)",
        "fab": "fab(targeted=False,restarts=5)",
        "square": "square",
        "apgd-t": "apgd(objective=targeted_dlr)",
        "fab-t": "fab",
    },
    "rand": {"apgd-ce": "apgd(samples=20)", "apgd-dlr": "apgd(objective=dlr,samples=20)"},
}
_CLASSES_NEEDED = {"apgd-t": 4, "apgd-dlr": 3}


def _on_survivors(call: ArrayCall, threat, start, *, version: str) -> tf.Tensor:
    """`autoattack` outside of a graph: every round of a member sees the survivors alone."""
    result = (call.x if start is None else threat.project(start, call.x)).numpy()
    rows = np.arange(len(result))
    if len(rows):
        rows = rows[~call.broken(tf.constant(result), rows)]
    for member in members(call.classes, version=version).values() if len(rows) else ():
        rounds, carried = rounds_of(member), None
        for number in rounds.numbers:
            if not len(rows):
                break
            found = call.run_round(member.text, rounds, threat, rows, number, carried)
            result[rows] = found.numpy()
            standing = ~call.broken(found, rows)
            rows = rows[standing]
            carried = tf.boolean_mask(found, standing) if rounds.carry else None
    return tf.constant(result)


@functools.partial(takes_arrays, eagerly=_on_survivors)
def autoattack(
    logits_fn,
    x,
    y,
    threat,
    seed=0,
    x_init=None,
    *,
    version: Literal["standard", "plus", "rand"] = "standard",
):
    """Runs the members one after the other, each on what the former ones left standing.

    Source: Croce and Hein 2020, "Reliable Evaluation of Adversarial Robustness with an Ensemble of
    Diverse Parameter-free Attacks", in the order and with the settings of the authors' code:
    standard is APGD on cross-entropy, targeted APGD on DLR and targeted FAB (9 targets each, 100
    steps) and Square with 5,000 queries; plus adds untargeted DLR and FAB and five restarts; rand,
    for randomised models, averages the gradient over 20 samples. Random draws belong to the
    example, not to its batch. A member that needs more classes than the model has is left out.

    Called outside of a graph, each restart, target and stretch of queries sees the survivors alone,
    packed into full batches. Within a graph a batch has one size: its members and rounds run on all
    of it as long as one image in it is classified correctly, and are skipped from then on.

    Args:
        logits_fn: images [B, ...] -> logits [B, K].
        x: clean images, float32 [B, ...] within the threat's box.
        y: labels, integers [B].
        threat: `Threat`: norm, radius and box.
        seed: an integer, or keys uint32 [B, 3] that name each example (see `keyed_random`).
        x_init: images that are kept where they are misclassified already.
        version: "standard", "plus" or "rand".

    Returns:
        Adversarial images, shaped like x, inside the threat.
    """
    keys = keyed_random.as_keys(seed, x)
    result = x if x_init is None else threat.project(x_init, x)
    for member in members(logits_fn(x).shape[-1], version=version).values():
        broken = margin(logits_fn(result), y) > 0

        def attacked(member=member, result=result, broken=broken):
            new = run(rounds_of(member), logits_fn, x, y, threat, keys)
            return tf.where(per_image(broken, x), result, new)

        result = tf.cond(tf.reduce_all(broken), lambda result=result: result, attacked)
    return result


def members(classes: int, *, version: str) -> dict[str, specs.Spec]:
    """The attacks of a version by their usual names, as checked specs, in order.

    Args:
        classes: number of the model's classes; decides which members can run.
        version: "standard", "plus" or "rand".
    """
    texts = _VERSIONS[version]
    return {
        name: specs.check(specs.parse(text), "anchor_tf.attacks", "attack")
        for name, text in texts.items()
        if classes >= _CLASSES_NEEDED.get(name, 2)
    }


def left_out(classes: int, *, version: str) -> list[str]:
    """Names of the members that need more classes than there are."""
    present = members(classes, version=version)
    return [name for name in _VERSIONS[version] if name not in present]
