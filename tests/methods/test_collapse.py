"""Dead images and collapsed embeddings: bounded gradients, training that goes on, a warning."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import specs
from anchor_tf.methods.extras.collapse import STEPS
from tests.methods.method_cases import THREAT
from tests.slow_cases import slow_but

TEXTS = [
    "supcon", "anchor", "anchor(ce_weight=0,objective=supcon)", "anchor(positives=2,views=3)",
    "margin_supcon", "ae_supcon", "ae_supcon(generator=input)", "rocl", "clead",
    "clead(negatives=paired)",
]  # fmt: skip


def without_bias(text, rate=0.05, **options):
    """A method on a backbone that turns black images to features of exactly 0."""
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Flatten(), keras.layers.Dense(16, "relu", use_bias=False)]
    backbone = keras.Sequential([keras.Input((4, 4, 1)), *layers])
    spec = specs.check(specs.parse(text), "anchor_tf.methods", "method")
    method = specs.load(spec, "anchor_tf.methods")(
        backbone, 4, THREAT, attack_steps=1, **spec.arguments, **options
    )
    method.compile(optimizer=keras.optimizers.SGD(rate))
    return method


def images(count=256, black=1):
    generator = np.random.default_rng(0)
    labels = np.arange(count) % 4
    patterns = generator.uniform(size=(4, 4, 4, 1))
    noise = generator.uniform(-0.2, 0.2, size=(count, 4, 4, 1))
    pixels = np.clip(patterns[labels] + noise, 0, 1).astype(np.float32)
    pixels[:black] = 0.0
    return pixels, labels


def fitted(method, data, epochs, size=256):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        history = method.fit(*data, batch_size=size, epochs=epochs, verbose=0, shuffle=False)
    return history.history, [str(one.message) for one in told if "embeddings" in str(one.message)]


@pytest.mark.parametrize("text", slow_but(["supcon", "clead"], TEXTS))
def test_a_black_image_does_not_stop_training(text):
    method = without_bias(text)
    assert not np.any(method.embed(tf.zeros([1, 4, 4, 1])))  # exactly 0: no direction
    history, told = fitted(method, images(), 30)
    assert max(history["gradient_norm"]) < 1e3
    assert np.all(np.isfinite(history["loss"]))
    assert history["contrastive"][-1] < history["contrastive"][0] - 0.05
    assert not told


def collapsed(text, **options):
    """A method whose projections are one point: nothing but a bias reaches them."""
    method = without_bias(text, rate=0.0, **options)
    last = method.projection_head.layers[-2]
    last.set_weights([np.zeros_like(last.kernel), np.ones(last.bias.shape)])
    return method


@pytest.mark.parametrize(
    ("text", "size"),
    # The last batch of 24 is smaller.
    slow_but(
        [("supcon", 32), ("clead", 24)],
        [*((text, 32) for text in TEXTS), ("supcon", 24), ("clead", 24)],
    ),
)
def test_a_loss_that_stays_where_all_is_equal_is_reported_once(text, size):
    method = collapsed(text)
    _, told = fitted(method, images(64), epochs=STEPS + 5, size=size)
    assert len(told) == 1
    assert "all similarities are equal" in told[0]


def test_the_value_is_that_of_equal_similarities():
    history, _ = fitted(collapsed("supcon"), images(32), 1, size=32)
    assert history["contrastive"][0] == pytest.approx(np.log(2 * 32 - 1), rel=1e-5)


def test_a_few_steps_at_that_value_are_no_collapse():
    _, told = fitted(collapsed("supcon"), images(32), STEPS - 1, size=32)
    assert not told


def test_callbacks_of_ones_own_run_as_well():
    method, seen = collapsed("supcon"), []
    own = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    for callbacks in (own, [own], keras.callbacks.CallbackList([own], model=method)):
        method.fit(*images(8), batch_size=8, epochs=1, verbose=0, callbacks=callbacks)
    assert seen == [0, 0, 0]
