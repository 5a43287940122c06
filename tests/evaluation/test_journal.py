"""A killed evaluation continues where it was, and attacks no finished image again."""

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.evaluation import runner
from anchor_tf.evaluation.journal import Journal, identity
from anchor_tf.threat import Threat

THREAT = Threat("linf", 0.05)


class KilledError(Exception):
    """Stands for the kill."""


TEXTS = ("pgd(steps=3,restarts=2)", "cw(steps=3)")
SQUARE = ("square(queries=350)", "fgsm")


def evaluate(
    network, images, labels, parse, journal, kill_after=None, texts=TEXTS, keep_examples=True
):
    calls = []

    def progress(call):
        calls.append(call)
        if len(calls) == kill_after:
            raise KilledError

    evaluation = runner.evaluate(
        network,
        images,
        labels,
        parse(*texts),
        THREAT,
        batch_size=16,
        seed=7,
        progress=progress,
        keep_examples=keep_examples,
        journal=journal,
    )
    return evaluation, calls


def assert_equal(one, two):
    for first, second in zip(one.attacks, two.attacks, strict=True):
        np.testing.assert_array_equal(first.robust, second.robust)
    np.testing.assert_array_equal(one.adversarial, two.adversarial)
    np.testing.assert_array_equal(one.predictions, two.predictions)


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
        assert_equal(whole, continued)


@pytest.mark.parametrize("kept", [True, np.array([50, 2, 31])])
def test_rounds_that_carry_images_on_are_continued(network, images, labels, parse, tmp_path, kept):
    """In the middle of a round, at its end, at the attack's end and in the next attack."""
    data = (network, images, labels, parse)
    whole, calls = evaluate(*data, None, texts=SQUARE, keep_examples=kept)
    ends = [place + 1 for place, call in enumerate(calls) if call.done == call.total]
    for kill_after in (ends[0], ends[1] + 1, ends[3] + 1):
        folder = tmp_path / str(kill_after)
        options = {"texts": SQUARE, "keep_examples": kept}
        with pytest.raises(KilledError):
            evaluate(*data, Journal(folder, "model"), kill_after, **options)
        journal = Journal(folder, "model")
        continued, again = evaluate(*data, journal, **options)
        assert len(again) == len(calls)
        assert journal.computed == len(calls) - kill_after
        assert_equal(whole, continued)


@pytest.mark.slow
def test_what_is_damaged_or_asked_for_later_is_computed_again(
    network, images, labels, parse, tmp_path
):
    data = (network, images, labels, parse)
    whole, calls = evaluate(*data, None, texts=SQUARE)
    names = {}
    for kept in (False, True):  # images that were not kept before are asked for
        journal = Journal(tmp_path, "model")
        found, _ = evaluate(*data, journal, texts=SQUARE, keep_examples=kept)
        assert journal.computed > 0
        names[kept] = sorted(tmp_path.rglob("*.npz"))
    assert_equal(whole, found)
    assert names[False] == names[True]
    assert len(names[True]) == len(calls)
    # One of every round: they are found by the order in which they were written.
    written = sorted(names[True], key=lambda path: path.stat().st_mtime_ns)
    for path in written[:: len(written) // 4]:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        again, _ = evaluate(*data, Journal(tmp_path, "model"), texts=SQUARE)
        assert_equal(whole, again)
    # With the results that need them gone, so are the images that a round starts from.
    assert len(list(tmp_path.rglob("*.starts"))) <= 2 * 7


@pytest.mark.slow
def test_disk_holds_what_is_shown_and_one_round_of_survivors(parse, tmp_path):
    """Sixty-four images of 48 KiB, attacked fourteen times over: 42 MB if all were kept."""
    draws = np.random.default_rng(0)
    images = draws.random((64, 64, 64, 3), np.float32)

    def model(batch):  # half of the images fall in time
        mean = tf.reduce_mean(batch[:, :32], axis=[1, 2, 3]) - 0.5
        return tf.stack([mean, -mean], axis=1) * 100.0

    labels = model(images).numpy().argmax(axis=1)
    largest = 0

    def look(_):
        nonlocal largest
        largest = max(largest, sum(path.stat().st_size for path in tmp_path.rglob("*.*")))

    runner.evaluate(
        model,
        images,
        labels,
        parse("pgd(steps=1,restarts=4,step_size=1e-6)", "square(queries=1000)"),
        Threat("linf", 1e-5),
        batch_size=16,
        keep_examples=np.arange(4),
        progress=look,
        journal=Journal(tmp_path, "model"),
    )
    image = 64 * 64 * 3 * 4
    # Four that are shown and, while a round is under way, the survivors of two rounds.
    assert 64 * image * 0.5 < largest < (4 + 2 * 64) * image + 14 * 4 * 2000
    left = sum(path.stat().st_size for path in tmp_path.rglob("*.*"))
    assert left < (4 + 64) * image + 14 * 4 * 2000


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
