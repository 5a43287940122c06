"""Transfer: PGD on another network, whose images are shown to this one."""

import functools

import tensorflow as tf

from anchor_tf.attacks import pgd
from anchor_tf.attacks.array_calls import ArrayCall
from anchor_tf.attacks.inputs import inference, takes_arrays
from anchor_tf.attacks.run_rounds import Rounds, run
from anchor_tf.errors import UserError
from anchor_tf.models import model_file, model_path

FACTS = {"returned": "last iterate", "access": "another model"}


def _on_arrays(call: ArrayCall, threat, start, *, model: str, **arguments) -> tf.Tensor:
    """`transfer` outside of a graph: a file that was written anew is traced anew."""
    other = _load(model, model_path.digest(model_path.check(model)))
    attack = transfer.__wrapped__
    return call.run(attack, threat, start, uses=other, model=model, **arguments)


@functools.partial(takes_arrays, eagerly=_on_arrays)
def transfer(
    logits_fn,
    x,
    y,
    threat,
    seed=0,
    x_init=None,
    *,
    model: str,
    steps: int = 20,
    step_size: float | None = None,
):
    """Steepest ascent on another network's cross-entropy, from a random start.

    The attack of who cannot reach into the network, and weaker than one that can: accuracies under
    it alone say little. Where it breaks what attacks on the network itself leave standing, those
    fail (Athalye et al. 2018, "Obfuscated Gradients Give a False Sense of Security").

    Source: Papernot et al. 2016, "Transferability in Machine Learning", with PGD as the attack.

    Args:
        logits_fn: images [B, H, W, C] -> logits [B, K]; only its shape is used.
        x: clean images, float32 [B, H, W, C] in [0, 1].
        y: labels, integers [B].
        threat: `Threat`: norm, radius and box.
        seed: an integer, or keys uint32 [B, 3] that name each example (see `keyed_random`).
        x_init: starting point instead of a drawn one.
        model: the other network: a .keras file or SavedModel folder, images in [0, 1] -> logits.
        steps: number of steps, at least 1.
        step_size: length of a step in the threat's norm; 2.5 epsilon / steps by default.

    Returns:
        Adversarial images, shaped like x, inside the threat: the last iterate.

    Raises:
        UserError: the file is no classifier of such images into K classes, steps below 1, or a
            step_size that is not positive.
    """
    attack = rounds(model=model, steps=steps, step_size=step_size)
    return run(attack, logits_fn, x, y, threat, seed, x_init)


def rounds(*, model, steps, step_size) -> Rounds:
    """The only round of `transfer`, which explains the arguments."""
    if steps < 1 or (step_size is not None and step_size <= 0):
        raise UserError("steps must be at least 1, step_size above 0")
    ascent = pgd.rounds(
        steps=steps,
        step_size=step_size,
        restarts=1,
        random_start=True,
        objective="ce",
        kappa=0.0,
    )
    with tf.init_scope():  # its variables belong to no graph
        other = _load(model, model_path.digest(model_path.check(model)))
    takes, classes = tf.TensorShape(model_file.image_shape(other)), model_file.classes(other)

    def attack(logits_fn, x, y, threat, keys, start, number):
        logits = logits_fn(x)  # for its shape
        same = classes is None or classes == logits.shape[-1]
        if not (takes.is_compatible_with(x.shape) and same):
            raise UserError(
                f"attack transfer: {model} sorts images of {takes[1:]} into {classes} classes, "
                f"not images of {x.shape[1:]} into {logits.shape[-1]}"
            )
        return ascent.attack(inference(other), x, y, threat, keys, start, number)

    return Rounds(attack, ascent.numbers)


def passes(*, steps, **_) -> tuple[int, int]:
    """Gradients for an image, as if the other network were like this one."""
    return 0, steps


@functools.lru_cache(maxsize=4)
def _load(path: str, digest: str):
    del digest  # a file that was written anew is another model
    return model_file.load(path)
