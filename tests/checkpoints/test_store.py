"""The last few checkpoints are kept, and no damage to one goes unnoticed.

The short version mutates 20 files; `HOSTILE=full` 200.
"""

import os
import random

import keras
import numpy as np
import pytest

from anchor_tf.checkpoints import checkpoint_file
from anchor_tf.checkpoints.best_weights import BestWeights
from anchor_tf.checkpoints.store import CheckpointStore
from anchor_tf.errors import UserError
from tests.hostile.mutations import mutate

MUTATIONS = 200 if os.environ.get("HOSTILE") == "full" else 20


def values(step):
    return [np.full([2, 3], step, np.float32), np.array(step, np.int64)]


@pytest.fixture
def variables():
    return [keras.Variable(np.zeros([2, 3], np.float32)), keras.Variable(0, dtype="int64")]


@pytest.fixture
def store(tmp_path):
    store = CheckpointStore(tmp_path / "train")
    for step in (3, 6, 9):
        store.save(step, values(step), seconds=0.1 * step)
    return store


def test_the_last_two_are_kept_and_the_newest_is_taken(store, variables):
    assert [path.name for path in store.paths] == ["000000009.npz", "000000006.npz"]
    assert store.restore(variables) == {"step": 9, "seconds": pytest.approx(0.9)}
    for variable, value in zip(variables, values(9), strict=True):
        np.testing.assert_array_equal(variable, value)


def test_nothing_to_restore(tmp_path, variables):
    assert CheckpointStore(tmp_path / "train").restore(variables) is None


def test_a_checkpoint_of_another_model_is_refused(store, variables):
    with pytest.raises(UserError, match="belongs to another model"):
        store.restore(variables[:1])


def test_what_restore_would_refuse_is_told_before(store, variables, capsys):
    store.paths[0].write_bytes(b"")  # passed over
    before = {path.name: path.read_bytes() for path in store.folder.iterdir()}
    store.check(variables)
    with pytest.raises(UserError, match=r"000000006\.npz belongs to another model"):
        store.check(variables[:1])
    assert {path.name: path.read_bytes() for path in store.folder.iterdir()} == before
    assert capsys.readouterr().out == ""
    np.testing.assert_array_equal(variables[0], 0.0)
    CheckpointStore(store.folder / "none").check(variables)


def test_the_best_weights_of_another_model_are_told_before(tmp_path, variables):
    best = BestWeights(tmp_path, "train")
    best.check(variables)  # there are none yet
    best.save(values(4), epoch=4, robust=0.5)
    best.check(variables)
    with pytest.raises(UserError, match="belongs to another model"):
        best.check(variables[:1])
    for path in best.paths:
        path.write_bytes(b"")
    with pytest.raises(UserError, match="both missing or damaged"):
        best.check(variables)


def test_workers_but_the_first_change_nothing(store, variables, capsys):
    store.paths[0].write_bytes(b"")
    other = CheckpointStore(store.folder, chief=False)
    assert other.restore(variables)["step"] == 6
    assert len(list(store.folder.iterdir())) == 2
    assert capsys.readouterr().out == ""


def test_mutated_checkpoints_give_way_to_the_one_before(store, variables, capsys):
    random_ = random.Random(0)
    newest = store.paths[0]
    content = newest.read_bytes()
    for _ in range(MUTATIONS):
        mutated = mutate(random_, content)
        while mutated == content:
            mutated = mutate(random_, content)
        newest.write_bytes(mutated)
        assert store.restore(variables)["step"] == 6
        np.testing.assert_array_equal(variables[0], values(6)[0])
        assert "000000009.npz is damaged (wrong checksum): set aside" in capsys.readouterr().out
        assert newest.with_name("000000009.npz.damaged").read_bytes() == mutated


def test_mutated_best_weights_leave_their_copy(tmp_path, variables, capsys):
    random_ = random.Random(1)
    best = BestWeights(tmp_path, "train")
    assert best.robust == -1.0
    best.save(values(4), epoch=4, robust=0.5)
    content = best.paths[0].read_bytes()
    for turn in range(MUTATIONS):
        damaged = best.paths[turn % 2]
        damaged.write_bytes(mutate(random_, content))
        assert best.robust == 0.5
        assert best.restore(variables) == {"epoch": 4, "robust": 0.5}
        np.testing.assert_array_equal(variables[1], 4)
        damaged.write_bytes(content)
    capsys.readouterr()


def test_no_object_is_unpickled(tmp_path):
    path = tmp_path / "a.npz"
    checkpoint_file.write(path, [np.array([{}], dtype=object)], {})
    with pytest.raises(checkpoint_file.DamagedCheckpointError, match="no checkpoint"):
        checkpoint_file.read(path)


def test_a_full_disk_leaves_the_checkpoint_before(store, monkeypatch):
    before = {path.name: path.read_bytes() for path in store.paths}

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.save(12, values(12))
    assert {path.name: path.read_bytes() for path in store.folder.iterdir()} == before
