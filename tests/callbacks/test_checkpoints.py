"""What a checkpoint says of the time its epoch has taken."""

import types

import pytest
import tensorflow as tf

from anchor_tf.callbacks import checkpoints, epoch_clock
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


def begun(store, interval, steps):
    """The callback in the first of two epochs of so many steps, 7.5 seconds of which are gone."""
    callback = Checkpoints(
        store,
        "train",
        steps=steps,
        epochs=2,
        interval=interval,
        clock=types.SimpleNamespace(seconds=7.5),
        watch=types.SimpleNamespace(due=False, check=lambda: None),
        strategy=tf.distribute.get_strategy(),
    )
    callback.set_model(types.SimpleNamespace(resumable=[]))
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    return callback


def test_an_epoch_that_follows_starts_with_no_seconds(store):
    callback = begun(store, Interval(steps=1), steps=3)
    for batch in range(3):
        callback.on_train_batch_end(batch)
    callback.on_epoch_end(0)
    assert store.facts == {
        1: {"closed_epochs": 0, "seconds": 7.5},
        2: {"closed_epochs": 0, "seconds": 7.5},
        3: {"closed_epochs": 1, "seconds": 0.0},
    }


@pytest.mark.parametrize(("cost", "expected"), [(0.0, [60, 120, 180, 240, 300]), (2.0, [60, 260])])
def test_saves_once_a_minute_and_for_a_hundredth_of_the_time(store, monkeypatch, cost, expected):
    now, save = [0.0], store.save
    monkeypatch.setattr(checkpoints, "time", types.SimpleNamespace(monotonic=lambda: now[0]))

    def slow(*given, **facts):
        save(*given, **facts)
        now[0] += cost

    store.save = slow
    callback = begun(store, Interval(), steps=1000)
    for batch in range(300):
        now[0] += 1.0
        callback.on_train_batch_end(batch)
    assert list(store.facts) == expected


def test_seconds_go_on_and_end_with_the_epoch(monkeypatch):
    now = iter([100.0, 103.0, 103.5, 200.0, 204.0, 205.0])
    monkeypatch.setattr(epoch_clock, "time", types.SimpleNamespace(monotonic=lambda: next(now)))
    clock, found = epoch_clock.EpochClock(before=7.0), []
    for epoch in range(2):
        clock.on_epoch_begin(epoch)
        clock.on_train_batch_end(0)
        found.append(clock.seconds)
        clock.on_epoch_end(epoch)
        found.append(clock.seconds)
    assert found == [10.0, 10.5, 4.0, 5.0]
