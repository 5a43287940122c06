"""Takes training steps over so many virtual devices and saves what they come to; a process each.

Usage: python -m tests.distribution.replica_steps OUT.npz REPLICAS METHOD ATTACK [EXTRAS as JSON]
ATTACK is "injected" (the adversarial images are given, not found) or "attacked".
"""

import json
import sys

import numpy as np

from anchor_tf import cluster, command_line, specs
from pipelines.build import Replicas

STEPS, BATCH = 5, 12


def main(out, replicas, text, attack, extras):
    workers = cluster.described().size
    virtual_devices = replicas if replicas > 1 and workers == 1 else None
    command_line.import_tensorflow(virtual_devices, start_devices=workers == 1)
    import keras

    from anchor_tf import distribution
    from anchor_tf.backbones.small import small
    from anchor_tf.threat import Threat
    from anchor_tf.training_loop import TrainingLoop

    place = distribution.place("auto" if workers > 1 or virtual_devices else "one", virtual_devices)
    assert place.strategy.num_replicas_in_sync == replicas
    keras.utils.set_random_seed(0)
    spec = specs.check(specs.parse(text), "anchor_tf.methods", "method")
    local = extras.pop("local_negatives", False)
    with place.strategy.scope():
        method = specs.load(spec, "anchor_tf.methods")(
            small((8, 8, 1), [0.5], [0.25], width=4),
            4,
            Threat("linf", 0.1),
            attack_steps=3,
            weight_decay=5e-4,
            **spec.arguments,
            **extras,
        )
        method.compile(optimizer=keras.optimizers.SGD(0.05, momentum=0.9))
        method.optimizer.build(method.trainable_variables)
    if attack == "injected":
        method.perturb = injected
    if local:
        forget_other_replicas()
    losses = []

    class Losses(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            losses.append(logs["loss"])

    loop = TrainingLoop(method, place.strategy)
    loop.run(batches, 1, STEPS, [Losses()])
    np.savez(out, *(keras.ops.convert_to_numpy(v) for v in method.state), loss=losses)


def injected(batch, threat, keys):
    import tensorflow as tf

    del threat, keys
    phase = 6.28 * tf.cast(batch.index, tf.float32)[:, None, None, None] / 7.0
    return tf.clip_by_value(batch.views[0] + 0.1 * tf.sin(phase + 40 * batch.views[0]), 0.0, 1.0)


def batches(replicas: Replicas):
    """Elements as the pipeline makes them: one a replica and step."""
    import tensorflow as tf

    random = np.random.default_rng(0)
    images = random.uniform(size=(STEPS, BATCH, 8, 8, 1)).astype(np.float32)
    second = np.clip(images + random.normal(scale=0.05, size=images.shape), 0, 1)
    share = replicas.share(BATCH)

    def split(array):
        parts = array.reshape(STEPS, replicas.total, share, *array.shape[2:])
        parts = parts[:, replicas.first : replicas.first + replicas.here]
        return parts.reshape(-1, share, *array.shape[2:])

    labels = np.tile(np.arange(BATCH) % 4, (STEPS, 1)).astype(np.int32)
    index = np.tile(np.arange(BATCH), (STEPS, 1)).astype(np.int32)
    return tf.data.Dataset.from_tensor_slices(
        {
            "views": (split(images), split(second.astype(np.float32))),
            "images": split(images),
            "labels": split(labels),
            "index": split(index),
        }
    )


def forget_other_replicas():
    """The control: every replica contrasts its own rows alone."""
    from anchor_tf.methods import contrastive

    contrastive.gathered = lambda tensors: (tensors, 0)


if __name__ == "__main__":
    extras = json.loads(sys.argv[5]) if len(sys.argv) > 5 else {}
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], extras)
