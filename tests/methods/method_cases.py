"""What the tests of methods build: a tiny method and a batch for it."""

import keras
import numpy as np
import tensorflow as tf

from anchor_tf import specs
from anchor_tf.backbones.small import small
from anchor_tf.threat import Threat

THREAT = Threat("linf", 0.1)
KEYS = tf.cast(tf.reshape(tf.range(48), [16, 3]), tf.uint32)


def backbone(width=4):
    return small((8, 8, 1), [0.5], [0.25], width=width)


def build(text, **setup):
    keras.utils.set_random_seed(0)
    spec = specs.check(specs.parse(text), "anchor_tf.methods", "method")
    setup = {"attack_steps": 2, **setup}
    method = specs.load(spec, "anchor_tf.methods")(backbone(), 4, THREAT, **spec.arguments, **setup)
    method.compile(optimizer=keras.optimizers.SGD(0.02, momentum=0.9))
    return method


def element(count=16, views=2, seed=0):
    generator = np.random.default_rng(seed)
    images = generator.uniform(size=(count, 8, 8, 1)).astype(np.float32)
    return {
        "views": tuple(tf.constant(images) for _ in range(views)),
        "images": tf.constant(images),
        "labels": tf.constant(np.arange(count) % 4, tf.int32),
        "index": tf.range(count),
    }


def batches(count=1, views=2):
    return tf.data.Dataset.from_tensors(element(views=views)).repeat(count)


def weights(method):
    return [np.array(value) for value in method.get_weights()]
