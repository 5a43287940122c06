import numpy as np
import pytest

from anchor_tf.errors import UserError
from anchor_tf.pipelines import splits
from anchor_tf.pipelines.data import Split, recipe_for
from anchor_tf.pipelines.sources.digits import digits
from anchor_tf.pipelines.splits import held_out_count, hold_out_validation, stratified, subset


def labelled(labels):
    """A split whose images hold their own index."""
    labels = np.asarray(labels, np.int32)
    images = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    return Split(images, labels)


UNEVEN = labelled(np.repeat([0, 1, 2], [50, 20, 10])[np.random.RandomState(0).permutation(80)])


def test_stratified_keeps_the_shares():
    indices = stratified(UNEVEN.labels, 16)
    np.testing.assert_array_equal(np.bincount(UNEVEN.labels[indices]), [10, 4, 2])


def test_stratified_rounds_to_the_exact_count():
    for count in range(1, 78):
        indices = stratified(UNEVEN.labels, count)
        assert len(set(indices.tolist())) == count
        shares = np.array([50, 20, 10]) * count / 80
        assert np.all(np.abs(np.bincount(UNEVEN.labels[indices], minlength=3) - shares) < 1)


def test_stratified_never_changes():
    indices = stratified(np.arange(30) % 3, 6)
    assert indices.tolist() == [2, 9, 12, 16, 17, 22]


def test_stratified_leaves_one_of_each_class():
    labels = np.repeat(np.arange(21), [20] + [1] * 20)
    drawn = splits.stratified(labels, 4)
    assert (len(drawn), set(labels[drawn])) == (4, {0})
    with pytest.raises(UserError, match="40 images in 21 classes are too few: 20"):
        splits.stratified(labels, 20)


def test_held_out_count():
    assert held_out_count(60_000) == held_out_count(50_000) == 5_000
    assert held_out_count(49_999) == 4_999
    assert held_out_count(2) == 1


def test_validation_is_held_out_of_training():
    data = hold_out_validation(
        name="x",
        train=UNEVEN,
        test=labelled([0, 1, 2]),
        class_names=("a", "b", "c"),
        recipe=recipe_for((1, 1, 1)),
    )
    held_out = data.validation.images.ravel().tolist()
    assert held_out == data.indices["validation"]
    assert len(held_out) == 8
    assert sorted(held_out + data.train.images.ravel().tolist()) == list(range(80))
    np.testing.assert_array_equal(UNEVEN.labels[held_out], data.validation.labels)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(6, [2, 2, 2]), (30, [10, 10, 10]), (45, [18, 17, 10]), (80, [50, 20, 10])],
)
def test_subset_is_as_equal_as_it_can_be(count, expected):
    drawn, indices = subset(UNEVEN, count, seed=0)
    assert sorted(np.bincount(drawn.labels), reverse=True) == expected
    assert np.all(np.diff(indices) > 0)
    np.testing.assert_array_equal(drawn.images.ravel(), indices)


def test_subset_differs_by_at_most_one_between_classes():
    drawn, _ = subset(UNEVEN, 11, seed=3)
    assert sorted(np.bincount(drawn.labels)) == [3, 4, 4]


def test_subset_is_decided_by_its_seed():
    draws = [subset(UNEVEN, 20, seed)[1].tolist() for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize("count", [0, -1, 81])
def test_subset_says_how_many_there_are(count):
    with pytest.raises(UserError, match="the split holds 80"):
        subset(UNEVEN, count, seed=0)


def test_folds_are_disjoint_stratified_and_cover_the_training_images():
    data = digits()
    pool = np.concatenate([data.train.images, data.validation.images])
    seen = []
    for place in range(5):
        cut = splits.fold(data, place)
        held = np.array(cut.indices["fold"])
        seen.append(held)
        np.testing.assert_array_equal(cut.test.images, pool[held])
        assert len(cut.train) + len(cut.validation) + len(cut.test) == len(pool) == 1437
        share = np.bincount(cut.test.labels) / np.bincount(
            np.concatenate([data.train.labels, data.validation.labels])
        )
        np.testing.assert_allclose(share, 0.2, atol=0.01)
        kept = {image.tobytes() for image in (*cut.train.images, *cut.validation.images)}
        twins = sum(image.tobytes() in kept for image in cut.test.images)
        assert twins <= 1  # a few digits of the set are alike
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.arange(1437))
