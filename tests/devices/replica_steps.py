"""Takes training steps on so many replicas and saves what they come to; a process of its own.

Usage: python -m tests.devices.replica_steps FOLDER REPLICAS CASES
CASES is JSON, name -> {"method": spec, "attack": "injected" or "found", "options": of the method,
"xla": "on" or "off", "learning_rate": number, "local_negatives": true or false, "loaded": true or
false}. FOLDER/NAME.npz then holds every variable, the losses and the norms of the gradients.
"""

import json
import pathlib
import sys

import numpy as np

from anchor_tf import specs
from anchor_tf.devices import cluster
from anchor_tf.pipelines.build import Replicas
from anchor_tf.terminal import command_line

STEPS, BATCH = 5, 12


def main(folder, replicas, cases):
    workers = cluster.described().size
    virtual_devices = replicas if replicas > 1 and workers == 1 else None
    command_line.import_tensorflow(virtual_devices, start_devices=workers == 1)
    from anchor_tf.devices import distribution

    kind = "auto" if workers > 1 or virtual_devices else "one"
    place = distribution.place(kind, virtual_devices, "off")
    assert place.strategy.num_replicas_in_sync == replicas
    for name, case in cases.items():
        compiled = distribution.Place(place.strategy, case.get("xla", "off") == "on")
        np.savez(folder / f"{name}.npz", **take_steps(compiled, case))


def take_steps(place, case):
    import keras

    from anchor_tf.methods import contrastive
    from anchor_tf.training.loop import TrainingLoop

    keras.utils.clear_session(free_memory=False)  # names are counted anew
    keras.utils.set_random_seed(0)
    method = build(place, case)
    if case["attack"] == "injected":
        method.perturb = injected
    losses, norms, gathered = [], [], contrastive.gathered
    if case.get("local_negatives", False):  # every replica contrasts its own rows alone
        contrastive.gathered = lambda tensors, share: (tensors, 0)

    class Losses(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            losses.append(logs["loss"])
            norms.append(logs.get("gradient_norm", np.nan))

    TrainingLoop(method, place.strategy, place.jit_step).run(batches, 1, STEPS, [Losses()])
    contrastive.gathered = gathered
    state = {f"{i} {v.path}": as_array(v, place.strategy) for i, v in enumerate(method.state)}
    return {**state, "loss": losses, "gradient_norm": norms}


def build(place, case):
    import keras

    from anchor_tf.backbones.layers import normalizations
    from anchor_tf.backbones.small import small
    from anchor_tf.threat import Threat

    spec = specs.check(specs.parse(case["method"]), "anchor_tf.methods", "method")
    with place.strategy.scope():
        backbone = small((8, 8, 1), [0.5], [0.25], width=4)
        if case.get("loaded", False):  # as a run on another number of replicas has left it
            for layer in normalizations(backbone):
                layer.synchronized = not layer.synchronized
        method = specs.load(spec, "anchor_tf.methods")(
            backbone,
            4,
            # Small enough that a sign that rounding turns does not lead PGD to another maximum.
            Threat("linf", 0.02),
            attack_steps=3,
            weight_decay=5e-4,
            **spec.arguments,
            **case.get("options", {}),
        )
        learning_rate = case.get("learning_rate", 0.05)
        method.compile(optimizer=keras.optimizers.SGD(learning_rate, momentum=0.9))
        method.optimizer.build(method.trainable_variables)
    method.jit_parts = place.jit_parts
    return method


def as_array(variable, strategy):
    """The variable's value, once it is the same on every replica of this process."""
    copies = strategy.experimental_local_results(variable.value)
    first, *others = (copy.numpy() for copy in copies)
    assert all(np.array_equal(first, other) for other in others), variable.path
    return first


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


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]))
