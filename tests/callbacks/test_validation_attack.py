"""The validation's attack answers for the method that it is asked about."""

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.callbacks.validation_attack import ValidationAttack
from tests.methods.method_cases import build, element

pytestmark = pytest.mark.numeric


def test_each_method_is_attacked_itself():
    batch = element(count=8)
    given = batch["images"], batch["labels"], batch["index"]
    first, second = build("ce"), build("pgd_at")
    second.set_weights([weight + 0.05 for weight in second.get_weights()])
    shared = ValidationAttack(seed=3)
    for method in (first, second, first):
        found = shared(method, *given)
        alone = ValidationAttack(seed=3)(method, *given)
        for one, other in zip(found, alone, strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_allclose(found[0], method.classify(batch["images"]), rtol=1e-5, atol=1e-5)
    assert np.abs(shared(first, *given)[0] - shared(second, *given)[0]).max() > 0.01


def test_weights_are_read_anew_and_nothing_is_traced_again():
    batch = element(count=8)
    given = batch["images"], batch["labels"], batch["index"]
    method, attack = build("ce"), ValidationAttack(seed=0)
    before = attack(method, *given)[0]
    compiled = attack._compiled
    method.set_weights([weight + 0.05 for weight in method.get_weights()])
    after = attack(method, *(tensor[:5] for tensor in given))[0]
    assert attack._compiled is compiled
    assert compiled.experimental_get_tracing_count() == 1
    assert np.abs(after - before[:5]).max() > 0.01
    assert after.shape == (5, 4)
    assert tf.is_tensor(after)
