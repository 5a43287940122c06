import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.errors import UserError
from anchor_tf.pipelines import augment
from anchor_tf.pipelines.build import evaluation_batches, steps_per_epoch, training_batches
from anchor_tf.pipelines.data import Split

COUNT, BATCH = 23, 4  # Five steps an epoch, three examples left over.
PIXELS = np.random.RandomState(0).randint(0, 256, (COUNT, 6, 5, 3)).astype(np.uint8)
SPLIT = Split(PIXELS, (np.arange(COUNT) % 4).astype(np.int32))


def batches(text="crop(padding=2),flip", split=SPLIT, **changes):
    settings = {"batch_size": BATCH, "seed": 3, "views": 2, "epochs": 3} | changes
    function = augment.build(augment.check(text))
    return training_batches(split, augment=function, **settings)


def equal(first, second):
    first, second = tf.nest.flatten(list(first)), tf.nest.flatten(list(second))
    return len(first) == len(second) and all(
        np.array_equal(a, b) for a, b in zip(first, second, strict=True)
    )


def test_steps_per_epoch():
    assert steps_per_epoch(SPLIT, 4) == 5
    assert steps_per_epoch(SPLIT, 23) == 1
    for wrong in (24, 0):
        with pytest.raises(UserError, match=f"batch_size={wrong} should be from 1 to 23"):
            steps_per_epoch(SPLIT, wrong)
        with pytest.raises(UserError, match=f"batch_size={wrong}"):
            batches(batch_size=wrong)


def test_a_batch_is_augmented_at_once_for_each_view():
    shapes = []

    def augmented(images, keys):
        shapes.append((tuple(images.shape), tuple(keys.shape)))
        return images

    dataset = training_batches(SPLIT, augment=augmented, batch_size=4, seed=3, views=2, epochs=3)
    assert len(list(dataset)) == 15
    assert shapes == [((4, 6, 5, 3), (4, 3))] * 2  # traced, and never called image by image


def test_static_shapes():
    spec = batches().element_spec
    image = tf.TensorSpec([BATCH, 6, 5, 3], tf.float32)
    number = tf.TensorSpec([BATCH], tf.int32)
    assert spec == {"views": (image, image), "images": image, "labels": number, "index": number}


def test_images_and_labels_are_those_of_the_index():
    for batch in batches():
        expected = PIXELS[batch["index"]].astype(np.float32) / np.float32(255)
        np.testing.assert_array_equal(batch["images"], expected)
        np.testing.assert_array_equal(batch["labels"], SPLIT.labels[batch["index"]])


def test_float_images_are_not_rescaled():
    images = PIXELS.astype(np.float32) / 255
    for batch in batches(split=Split(images, SPLIT.labels), epochs=1):
        np.testing.assert_array_equal(batch["images"], images[batch["index"]])


def test_every_epoch_is_another_permutation():
    epochs = np.array([b["index"].numpy() for b in batches()]).reshape(3, 20)
    for order in epochs:
        assert len(set(order.tolist())) == 20
        assert 0 <= order.min() <= order.max() < COUNT
    assert len({order.tobytes() for order in epochs}) == 3
    assert len({frozenset(order.tolist()) for order in epochs}) > 1


def test_an_epoch_of_whole_batches_holds_every_example():
    split = Split(PIXELS[:20], SPLIT.labels[:20])
    for epoch in np.array([b["index"].numpy() for b in batches(split=split)]).reshape(3, 20):
        assert sorted(epoch.tolist()) == list(range(20))


def test_the_order_is_even():
    split = Split(np.zeros([6, 1, 1, 1], np.uint8), np.zeros(6, np.int32))
    dataset = batches("", split=split, batch_size=6, epochs=3000, views=1)
    order = np.array([b["index"].numpy() for b in dataset])
    for position in range(6):
        np.testing.assert_allclose(np.bincount(order[:, position]) / 3000, 1 / 6, atol=0.035)


def test_the_seed_decides():
    assert equal(batches(), batches())
    first, other = (np.concatenate([b["index"] for b in batches(seed=s)]) for s in (3, 4))
    assert np.any(first != other)


@pytest.mark.parametrize("first_step", [1, 4, 5, 7, 10, 14])
def test_starting_later_is_the_same_run(first_step):
    whole = list(batches())
    assert len(whole) == 15
    resumed = batches(first_step=first_step)
    assert resumed.cardinality() == 15 - first_step
    assert equal(resumed, whole[first_step:])


@pytest.mark.parametrize("first_step", [15, 16, 99])
def test_starting_after_the_end(first_step):
    assert list(batches(first_step=first_step)) == []


def test_parallelism_changes_nothing():
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    text = "crop,flip,color_jitter"
    assert equal(batches(text).with_options(options), batches(text))


def test_views_are_independent_and_belong_to_their_step():
    first, second = list(batches("crop(padding=3)", views=3, batch_size=20, epochs=2))
    views = [view.numpy() for view in first["views"]]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.any(views[a] != views[b])
    common = np.intersect1d(first["index"], second["index"])
    rows = [[list(b["index"].numpy()).index(i) for i in common] for b in (first, second)]
    np.testing.assert_array_equal(
        first["images"].numpy()[rows[0]], PIXELS[common] / np.float32(255)
    )
    assert np.any(views[0][rows[0]] != second["views"][0].numpy()[rows[1]])


def test_a_view_is_keyed_by_seed_step_example_and_number():
    apply = augment.build(augment.check("crop(padding=3)"))
    for step, batch in enumerate(batches("crop(padding=3)")):
        keys = keyed_random.example_keys(3, step, batch["index"])
        for number, view in enumerate(batch["views"]):
            view_keys = keyed_random.fold(keyed_random.fold(keys, "augment"), number)
            np.testing.assert_array_equal(view, apply(batch["images"], view_keys))


def test_a_view_does_not_depend_on_the_batch_size():
    small = next(iter(batches(batch_size=4)))
    large = next(iter(batches(batch_size=8)))
    np.testing.assert_array_equal(small["index"], large["index"][:4])
    for a, b in zip(small["views"], large["views"], strict=True):
        np.testing.assert_array_equal(a, b[:4])


def test_more_views_do_not_change_the_first():
    one, two = (next(iter(batches(views=views))) for views in (1, 2))
    np.testing.assert_array_equal(one["views"][0], two["views"][0])


def test_no_augmentation():
    batch = next(iter(batches("none", views=1)))
    np.testing.assert_array_equal(batch["views"][0], batch["images"])


def test_an_argument_out_of_range_is_one_line():
    with pytest.raises(UserError, match=r"^crop: padding=-1 should not be negative$"):
        batches("crop(padding=-1)")


def test_evaluation_pads_and_masks():
    dataset = evaluation_batches(SPLIT, batch_size=BATCH)
    assert dataset.element_spec["images"].shape == (BATCH, 6, 5, 3)
    elements = list(dataset)
    assert len(elements) == dataset.cardinality() == 6
    joined = {key: np.concatenate([e[key] for e in elements]) for key in elements[0]}
    assert joined["mask"].dtype == bool
    np.testing.assert_array_equal(joined["mask"], [True] * 23 + [False])
    np.testing.assert_array_equal(joined["index"], [*range(23), 0])
    np.testing.assert_array_equal(joined["labels"], [*SPLIT.labels, 0])
    np.testing.assert_array_equal(
        joined["images"][:23], PIXELS.astype(np.float32) / np.float32(255)
    )
    assert not joined["images"][23].any()


@pytest.mark.parametrize(("batch_size", "expected"), [(23, 1), (50, 1), (1, 23)])
def test_evaluation_with_any_batch_size(batch_size, expected):
    elements = list(evaluation_batches(SPLIT, batch_size=batch_size))
    assert len(elements) == expected
    assert sum(int(e["mask"].numpy().sum()) for e in elements) == 23
    assert all(e["images"].shape[0] == batch_size for e in elements)


def test_two_replicas_share_each_batch():
    program = """
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from anchor_tf.pipelines import augment, build
from anchor_tf.pipelines.data import Split
split = Split(np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1), np.zeros(20, np.int32))
dataset = build.training_batches(split, batch_size=6, seed=0,
    augment=augment.build(augment.check("flip")), views=2, epochs=2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for whole, parts in zip(dataset, strategy.experimental_distribute_dataset(dataset), strict=True):
    for name in ("index", "images"):
        halves = strategy.experimental_local_results(parts[name])
        assert [len(half) for half in halves] == [3, 3]
        np.testing.assert_array_equal(np.concatenate(halves), whole[name])
print("equal")
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout == "equal\n", result.stderr[-2000:]
