"""Times attacks side by side: ours, torchattacks' and ART's, on one network with equal weights.

Contenders take turns within a round, so that the machine's noise falls on all alike; a first turn,
with tracing and allocation, does not count. A time is that of a whole attack on one batch of
random images, labelled as the network sees them. README.md says how to set up and run it.
"""

import argparse
import os
from collections.abc import Callable

import numpy as np
import turns

IMAGE_SHAPE, CLASSES = (32, 32, 3), 10
PGD_EPSILON = 8 / 255
# So small that most images stand: an attack that stops at the broken ones would gain nothing.
APGD_EPSILON = 0.1 / 255


def main() -> None:
    """Times every case; prints a table for each, then all of it as JSON."""
    arguments = parse()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf
    import torch

    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    torch.set_num_threads(arguments.threads)
    keras.utils.set_random_seed(0)
    result = {"machine": turns.machine(arguments.threads), "rounds": arguments.rounds, "cases": []}
    cases = [(pgd_contenders, arguments.pgd_steps, sizes) for sizes in arguments.pgd]
    cases += [(apgd_contenders, arguments.apgd_steps, sizes) for sizes in arguments.apgd]
    for contenders, steps, (width, batch_size) in cases:
        model, images, labels = problem(width, batch_size)
        name, functions = contenders(model, images, labels, steps)
        title = f"{name}, {steps} steps, ResNet-18 of width {width}, batch {batch_size}"
        standing = damage(functions, model, labels)
        figures = turns.timed(functions, arguments.rounds)
        for name, share in standing.items():
            figures[name]["standing"] = share
        result["cases"].append({"case": title, "contenders": figures})
        turns.print_table(title, figures)
    turns.keep(result, arguments.out)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = turns.parser(__doc__)
    parser.add_argument("--pgd", default=[(16, 128), (64, 64)], **turns.SIZES)
    parser.add_argument("--apgd", default=[(16, 128)], **turns.SIZES)
    parser.add_argument("--pgd_steps", type=int, default=20)
    parser.add_argument("--apgd_steps", type=int, default=100)
    return parser.parse_args()


def problem(width: int, batch_size: int):
    """A network with random weights, and random images with the classes it sees in them."""
    import keras

    from anchor_tf.backbones.resnet import resnet

    backbone = resnet(IMAGE_SHAPE, [0.5] * 3, [0.25] * 3, width=width)
    inputs = keras.Input(IMAGE_SHAPE)
    model = keras.Model(inputs, keras.layers.Dense(CLASSES)(backbone(inputs)))
    random = np.random.default_rng(0)
    images = random.uniform(size=(batch_size, *IMAGE_SHAPE)).astype(np.float32)
    return model, images, np.asarray(model(images, training=False)).argmax(axis=1)


def pgd_contenders(model, images, labels, steps: int) -> tuple[str, dict[str, Callable]]:
    """PGD with random start, in every library."""
    import torchattacks

    from anchor_tf.attacks.pgd import pgd

    step_size = 2.5 * PGD_EPSILON / steps
    contenders = {
        "anchor_tf": our_attack(pgd, model, images, labels, PGD_EPSILON, steps),
        **torch_attacks(
            lambda network: torchattacks.PGD(network, PGD_EPSILON, step_size, steps),
            model,
            images,
            labels,
        ),
        "ART": art_pgd(model, images, labels, step_size, steps),
    }
    return f"PGD, L-inf {PGD_EPSILON:.4g}", contenders


def apgd_contenders(model, images, labels, steps: int) -> tuple[str, dict[str, Callable]]:
    """APGD on the cross-entropy; ART's is another algorithm and stays out."""
    import torchattacks

    from anchor_tf.attacks.apgd import apgd

    contenders = {
        "anchor_tf": our_attack(apgd, model, images, labels, APGD_EPSILON, steps),
        **torch_attacks(
            lambda network: torchattacks.APGD(network, eps=APGD_EPSILON, steps=steps),
            model,
            images,
            labels,
        ),
    }
    return f"APGD-CE, L-inf {APGD_EPSILON:.4g}", contenders


def our_attack(attack: Callable, model, images, labels, epsilon: float, steps: int) -> Callable:
    """One of our attacks as a compiled function."""
    import tensorflow as tf

    from anchor_tf.threat import Threat

    x, y = tf.constant(images), tf.constant(labels, tf.int32)

    @tf.function(autograph=False)
    def compiled(x, y):
        logits_fn = lambda images: model(images, training=False)  # noqa: E731
        return attack(logits_fn, x, y, Threat("linf", epsilon), steps=steps)

    return lambda: compiled(x, y).numpy()


def torch_attacks(make_attack: Callable, model, images, labels) -> dict[str, Callable]:
    """A torchattacks attack in PyTorch's default layout and in channels_last.

    The third has BatchNorm folded into the convolutions, as our layers do by themselves and users
    of PyTorch may do by hand.
    """
    import torch
    from counterpart import Counterpart, as_torch

    def contender(layout, folded: bool) -> Callable:
        network = Counterpart(model, folded).to(memory_format=layout)
        x, y = as_torch(images).to(memory_format=layout), torch.from_numpy(labels)
        attack = make_attack(network)
        return lambda: attack(x, y).detach().numpy().transpose(0, 2, 3, 1)

    return {
        "torchattacks": contender(torch.contiguous_format, False),
        "torchattacks, channels_last": contender(torch.channels_last, False),
        "torchattacks, channels_last, folded": contender(torch.channels_last, True),
    }


def art_pgd(model, images, labels, step_size: float, steps: int) -> Callable:
    """ART's PGD through its TensorFlow classifier."""
    import keras
    from art.attacks.evasion import ProjectedGradientDescent
    from art.estimators.classification import TensorFlowV2Classifier

    classifier = TensorFlowV2Classifier(
        model=model,
        nb_classes=CLASSES,
        input_shape=IMAGE_SHAPE,
        loss_object=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        clip_values=(0.0, 1.0),
    )
    attack = ProjectedGradientDescent(
        classifier,
        eps=PGD_EPSILON,
        eps_step=step_size,
        max_iter=steps,
        num_random_init=1,
        batch_size=len(images),
        verbose=False,
    )
    return lambda: attack.generate(images, labels)


def damage(contenders: dict[str, Callable], model, labels) -> dict[str, float]:
    """The share of images that are classified as before: all attacks should do about the same."""
    return {
        name: float((np.asarray(model(attack(), training=False)).argmax(axis=1) == labels).mean())
        for name, attack in contenders.items()
    }


if __name__ == "__main__":
    main()
