"""Times a step of PGD adversarial training: ours, plain PyTorch's, and ART's Madry trainer.

The same network with the same weights learns from the same batch: ten steps of PGD in inference
mode, then one pass in training mode and an update by SGD with Nesterov momentum and weight decay
(ART's trainer has no weight decay). README.md says how to set up and run it.
"""

import argparse
import os
from collections.abc import Callable

import numpy as np
import turns
from speed import CLASSES, IMAGE_SHAPE, problem

EPSILON, RATE, DECAY = 8 / 255, 0.01, 5e-4


def main() -> None:
    """Times every size; prints a table for each, then all of it as JSON."""
    arguments = parse()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf
    import torch

    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    torch.set_num_threads(arguments.threads)
    keras.utils.set_random_seed(0)
    result = {"machine": turns.machine(arguments.threads), "rounds": arguments.rounds, "cases": []}
    for width, batch_size in arguments.sizes:
        model, images, labels = problem(width, batch_size)
        contenders = {
            "anchor_tf": our_step(width, images, labels, arguments.steps),
            "PyTorch, channels_last": torch_step(model, images, labels, arguments.steps, False),
            "PyTorch, channels_last, folded": torch_step(
                model, images, labels, arguments.steps, True
            ),
        }
        if not arguments.without_art:
            contenders["ART"] = art_step(model, images, labels, arguments.steps)
        title = (
            f"PGD-{arguments.steps} training step, ResNet-18 of width {width}, batch {batch_size}"
        )
        figures = turns.timed(contenders, arguments.rounds)
        result["cases"].append({"case": title, "contenders": figures})
        turns.print_table(title, figures)
    turns.keep(result, arguments.out)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = turns.parser(__doc__)
    parser.add_argument("--steps", type=int, default=10, help="of the attack")
    parser.add_argument("--without_art", action="store_true")
    parser.add_argument("--sizes", default=[(16, 128), (64, 64)], **turns.SIZES)
    return parser.parse_args()


def our_step(width: int, images, labels, steps: int) -> Callable:
    """The step of method pgd_at, as training takes it."""
    import keras
    import tensorflow as tf

    from anchor_tf.backbones.resnet import resnet
    from anchor_tf.methods.pgd_at import PGDAT
    from anchor_tf.threat import Threat
    from anchor_tf.training.loop import TrainingLoop

    backbone = resnet(IMAGE_SHAPE, [0.5] * 3, [0.25] * 3, width=width)
    method = PGDAT(
        backbone, CLASSES, Threat("linf", EPSILON), attack_steps=steps, weight_decay=DECAY
    )
    method.compile(optimizer=keras.optimizers.SGD(RATE, momentum=0.9, nesterov=True))
    method.optimizer.build(method.trainable_variables)
    loop = TrainingLoop(method, tf.distribute.get_strategy())
    batch = (tf.constant(images), tf.constant(labels, tf.int32))

    def step():
        loop.step(batch)
        method.tracked()  # waits for it

    return step


def torch_step(model, images, labels, steps: int, folded: bool) -> Callable:
    """The same in plain PyTorch.

    Args:
        model: whose weights it starts from.
        images: [B, H, W, C].
        labels: [B].
        steps: of the attack.
        folded: whether the attack runs on a copy whose batch normalisation is folded into the
            convolutions anew for every step.
    """
    import torch
    from counterpart import Counterpart, as_torch
    from torch.nn import functional

    network = Counterpart(model).to(memory_format=torch.channels_last)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 0.1  # Keras's .9
    x = as_torch(images).to(memory_format=torch.channels_last)
    y = torch.from_numpy(labels)
    optimizer = torch.optim.SGD(
        network.parameters(), RATE, momentum=0.9, nesterov=True, weight_decay=DECAY
    )

    def attacked(target):
        moved = x + torch.empty_like(x).uniform_(-EPSILON, EPSILON)
        moved = moved.clamp(0, 1)
        for _ in range(steps):
            moved.requires_grad_()
            loss = functional.cross_entropy(target(moved), y)
            (gradient,) = torch.autograd.grad(loss, moved)
            moved = moved.detach() + 2.5 * EPSILON / steps * gradient.sign()
            moved = torch.minimum(torch.maximum(moved, x - EPSILON), x + EPSILON).clamp(0, 1)
        return moved

    def step():
        network.eval()
        target = network.folded() if folded else network
        moved = attacked(target)
        network.train()
        optimizer.zero_grad()
        functional.cross_entropy(network(moved), y).backward()
        optimizer.step()

    return step


def art_step(model, images, labels, steps: int) -> Callable:
    """ART's trainer of Madry's protocol on the same Keras model, its update as a tf.function."""
    import keras
    import tensorflow as tf
    from art.defences.trainer import AdversarialTrainerMadryPGD
    from art.estimators.classification import TensorFlowV2Classifier

    optimizer = keras.optimizers.SGD(RATE, momentum=0.9, nesterov=True)
    optimizer.build(model.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def update(network, x, y):
        with tf.GradientTape() as tape:
            value = loss(y, network(x, training=True))
        optimizer.apply(
            tape.gradient(value, network.trainable_variables), network.trainable_variables
        )

    classifier = TensorFlowV2Classifier(
        model=model,
        nb_classes=CLASSES,
        input_shape=IMAGE_SHAPE,
        loss_object=loss,
        train_step=update,
        clip_values=(0.0, 1.0),
    )
    trainer = AdversarialTrainerMadryPGD(
        classifier,
        nb_epochs=1,
        batch_size=len(images),
        eps=EPSILON,
        eps_step=2.5 * EPSILON / steps,
        max_iter=steps,
        num_random_init=1,
    )
    one_hot = np.eye(CLASSES, dtype=np.float32)[labels]
    return lambda: trainer.fit(images, one_hot)


if __name__ == "__main__":
    main()
