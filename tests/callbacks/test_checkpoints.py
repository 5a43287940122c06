"""What a checkpoint says of the time its epoch has taken."""

import types

import pytest
import tensorflow as tf

from anchor_tf.callbacks.checkpoints import Checkpoints, Interval


class Store:
    """Keeps the facts of each checkpoint by its step."""

    chief = True

    def __init__(self):
        self.facts = {}

    def save(self, step, arrays, **facts):
        self.facts[step] = facts


@pytest.fixture
def store():
    return Store()


def test_an_epoch_that_follows_starts_with_no_seconds(store):
    callback = Checkpoints(
        store,
        "train",
        steps=3,
        epochs=2,
        interval=Interval(steps=1),
        clock=types.SimpleNamespace(seconds=7.5),
        watch=types.SimpleNamespace(due=False, check=lambda: None),
        strategy=tf.distribute.get_strategy(),
    )
    callback.set_model(types.SimpleNamespace(resumable=[]))
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    for batch in range(3):
        callback.on_train_batch_end(batch)
    callback.on_epoch_end(0)
    assert store.facts == {
        1: {"closed_epochs": 0, "seconds": 7.5},
        2: {"closed_epochs": 0, "seconds": 7.5},
        3: {"closed_epochs": 1, "seconds": 0.0},
    }
