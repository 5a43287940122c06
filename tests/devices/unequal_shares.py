"""Trains where the replicas' shares of a batch differ, and saves what it comes to; a process.

Usage: python -m tests.devices.unequal_shares FOLDER REPLICAS CASES FITS
CASES is JSON, name -> {"method": spec, "options": of the method}, FITS a JSON list of methods.
FOLDER/NAME.npz then holds the weights after a few steps and the figures of each; FOLDER/fit.npz the
history of `fit` on 33 images in batches of 16, and what `evaluate` says of them twice.
"""

import json
import pathlib
import sys

import numpy as np

from anchor_tf import specs
from anchor_tf.terminal import command_line

SHARES = [(4, 4), (4, 2), (1, 0), (2, 3)]  # of each step's batch


def main(folder, replicas, cases, fits):
    command_line.import_tensorflow(replicas if replicas > 1 else None)
    from anchor_tf.devices import distribution

    kind, devices = ("mirrored", replicas) if replicas > 1 else ("one", None)
    strategy = distribution.place(kind, devices, "off").strategy
    assert strategy.num_replicas_in_sync == replicas
    for name, case in cases.items():
        np.savez(folder / f"{name}.npz", **steps(strategy, case))
    np.savez(folder / "fit.npz", **fitted(strategy, fits))


def build(strategy, text, **options):
    """A method on a network of one convolution with batch normalisation."""
    import keras

    from anchor_tf.backbones import layers
    from anchor_tf.threat import Threat

    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    spec = specs.check(specs.parse(text), "anchor_tf.methods", "method")
    options = {"attack_steps": 1, **spec.arguments, **options}
    with strategy.scope():
        images = keras.Input((6, 6, 1))
        hidden = layers.convolution(images, 4)
        features = keras.layers.GlobalAveragePooling2D()(hidden)
        backbone = keras.Model(images, features)
        method = specs.load(spec, "anchor_tf.methods")(backbone, 3, Threat("linf", 0.02), **options)
        top = keras.metrics.SparseTopKCategoricalAccuracy(2, name="top")
        method.compile(keras.optimizers.SGD(0.05, momentum=0.9), metrics=["accuracy", top])
        method.optimizer.build(method.trainable_variables)
    return method


def data(count, seed=0):
    """Images, labels and weights."""
    random = np.random.default_rng(seed)
    images = random.uniform(size=(count, 6, 6, 1)).astype(np.float32)
    return images, random.integers(0, 3, count), random.uniform(0.5, 2.0, count).astype(np.float32)


def injected(batch, threat, keys):
    """Stands for the attack: a function of image and index, whose rounding no sign amplifies."""
    import tensorflow as tf

    del threat, keys
    phase = tf.cast(batch.index, tf.float32)[:, None, None, None]
    moved = [v + 0.1 * tf.sin(phase + 40.0 * v) for v in batch.views]
    return tf.clip_by_value(moved[-1], 0.0, 1.0)


def inject(method, text):
    """Puts `injected` in the attack's place; where there are two attacks, in that of both."""
    import tensorflow as tf

    copies = 2 if text == "clead" else 1
    method.perturb = lambda *given: tf.tile(injected(*given), [copies, 1, 1, 1])


def steps(strategy, case):
    """Weights after the steps, and the figures of each."""
    import tensorflow as tf

    method = build(strategy, case["method"], **case.get("options", {}))
    inject(method, case["method"])
    images, labels, weights = data(sum(map(sum, SHARES)))
    one = strategy.num_replicas_in_sync == 1
    sizes = [sum(shares) for shares in SHARES] if one else [size for s in SHARES for size in s]

    def shares():
        first = 0
        for size in sizes:
            rows = slice(first, first + size)
            yield images[rows], labels[rows], weights[rows]
            first += size

    signature = (
        tf.TensorSpec([None, 6, 6, 1]),
        tf.TensorSpec([None], tf.int64),
        tf.TensorSpec([None]),
    )

    def dataset(_=None):
        return tf.data.Dataset.from_generator(shares, output_signature=signature)

    elements = dataset() if one else strategy.distribute_datasets_from_function(dataset)

    @tf.function(autograph=False)
    def step(element):
        strategy.run(method.train_step, args=(element,))

    with strategy.scope():
        method._compile_metrics.build(tf.constant(labels[:2]), tf.zeros([2, 3]))
    figures, found = [], {}
    for element in elements:
        step(element)
        logs = method.get_metrics_result()
        figures.append({name: float(value) for name, value in logs.items()})
    for name in figures[0]:
        found[f"figure {name}"] = np.array([row[name] for row in figures])
    for place, variable in enumerate(method.variables):
        copies = strategy.experimental_local_results(variable.value)
        first, *others = (copy.numpy() for copy in copies)
        assert all(np.array_equal(first, other) for other in others), variable.path
        found[f"{place} {variable.path}"] = first
    return found


def fitted(strategy, fits):
    """History of `fit`, and two evaluations."""
    found = {}
    for text in fits:
        images, labels, weights = data(33)
        method = build(strategy, text, average_decay=0.5)
        inject(method, text)
        history = method.fit(
            images,
            labels,
            batch_size=16,
            epochs=2,
            shuffle=False,
            sample_weight=weights,
            validation_data=(images[:21], labels[:21]),
            verbose=0,
        ).history
        found |= {f"{text} {name}": values for name, values in history.items()}
        # Of 15 images the replicas' shares differ in every batch.
        for name, batch_size in (("16", 16), ("16 again", 16), ("15", 15)):
            logs = method.evaluate(
                images, labels, batch_size=batch_size, return_dict=True, verbose=0
            )
            found[f"{text} evaluate {name}"] = [logs[key] for key in sorted(logs)]
        found[f"{text} predict"] = method.predict(images, batch_size=15, verbose=0)
    return found


if __name__ == "__main__":
    main(
        pathlib.Path(sys.argv[1]),
        int(sys.argv[2]),
        json.loads(sys.argv[3]),
        json.loads(sys.argv[4]),
    )
