"""A killed evaluation continues where it was, and attacks no finished image again."""

import numpy as np
import pytest

from anchor_tf.evaluation import runner
from anchor_tf.evaluation.journal import Journal, identity
from anchor_tf.threat import Threat

THREAT = Threat("linf", 0.05)


class KilledError(Exception):
    """Stands for the kill."""


def evaluate(network, images, labels, parse, journal, kill_after=None):
    calls = []

    def progress(call):
        calls.append(call)
        if len(calls) == kill_after:
            raise KilledError

    evaluation = runner.evaluate(
        network,
        images,
        labels,
        parse("pgd(steps=3,restarts=2)", "cw(steps=3)"),
        THREAT,
        batch_size=16,
        seed=7,
        progress=progress,
        keep_examples=True,
        journal=journal,
    )
    return evaluation, calls


def test_continued_equals_uninterrupted(network, images, labels, parse, tmp_path):
    whole, calls = evaluate(network, images, labels, parse, None)
    for kill_after in (1, 5, len(calls) - 1):
        folder = tmp_path / str(kill_after)
        with pytest.raises(KilledError):
            evaluate(network, images, labels, parse, Journal(folder, "model"), kill_after)
        journal = Journal(folder, "model")
        assert journal.kept == kill_after
        continued, again = evaluate(network, images, labels, parse, journal)
        assert len(again) == len(calls)
        assert journal.computed == len(calls) - kill_after
        seconds = sum(float(np.load(path)["seconds"]) for path in (folder / "model").glob("*"))
        assert sum(attack.seconds for attack in continued.attacks) >= seconds
        for one, two in zip(whole.attacks, continued.attacks, strict=True):
            np.testing.assert_array_equal(one.robust, two.robust)
        np.testing.assert_array_equal(whole.adversarial, continued.adversarial)
        np.testing.assert_array_equal(whole.predictions, continued.predictions)


def test_damaged_batches_are_computed_again(tmp_path):
    journal = Journal(tmp_path, "model")
    rows, images = np.arange(4), np.random.default_rng(0).uniform(size=(4, 2, 2, 1))
    journal.write("pgd", rows, images, np.arange(4), 1.5)
    (path,) = tmp_path.rglob("*.npz")
    content = path.read_bytes()
    kept_images, predictions, seconds = journal.read("pgd", rows)
    assert seconds == 0.0  # of this process's own
    assert Journal(tmp_path, "model").read("pgd", rows)[2] == 1.5
    np.testing.assert_array_equal(kept_images, images)
    np.testing.assert_array_equal(predictions, np.arange(4))
    for damaged in (b"", content[: len(content) // 2], content[:60] + b"\0" + content[61:]):
        path.write_bytes(damaged)
        assert journal.read("pgd", rows) is None


def test_other_evaluations_do_not_see_each_other(tmp_path):
    rows, images = np.arange(4), np.zeros((4, 2, 2, 1))
    one, two = identity("one"), identity("two")
    Journal(tmp_path, one).write("pgd", rows, images, rows, 1.0)
    assert Journal(tmp_path, two).read("pgd", rows) is None
    assert Journal(tmp_path, one).read("cw", rows) is None
    assert Journal(tmp_path, one).read("pgd", rows + 1) is None
    assert Journal(tmp_path, one).read("pgd", rows) is not None
    Journal(tmp_path, two).clear()
    assert Journal(tmp_path, one).kept == 0


def test_clearing_leaves_what_journals_have_not_made(tmp_path):
    folder = tmp_path / "evaluation"
    journal = Journal(folder, identity("model"))
    journal.write("pgd", np.arange(1), np.zeros((1, 2, 2, 1)), np.arange(1), 1.0)
    (folder / "notes.txt").write_text("mine")
    journal.clear()
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    (folder / "notes.txt").unlink()
    journal.clear()
    assert not folder.exists()


def test_identity_tells_contents_apart():
    array = np.arange(4)
    assert identity(array, 1) == identity(array.copy(), 1)
    assert len({identity(array, 1), identity(array + 1, 1), identity(array, 2)}) == 3


def test_rounds_do_not_read_each_other_s_batches(network, images, labels, parse, tmp_path):
    """At a radius where no image falls, the rounds of Square attack the same rows."""
    found = [
        runner.evaluate(
            network,
            images,
            labels,
            parse("square(queries=250)"),
            Threat("linf", 1e-3),
            batch_size=16,
            seed=7,
            keep_examples=True,
            journal=journal,
        )
        for journal in (None, Journal(tmp_path, "model"))
    ]
    np.testing.assert_array_equal(found[0].adversarial, found[1].adversarial)
