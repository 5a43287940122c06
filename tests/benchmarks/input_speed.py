"""Images a second that the input pipeline delivers: `python -m tests.benchmarks.input_speed`.

Training must never wait for it: a step of a network takes far longer than its batch.
"""

import time

import numpy as np

from anchor_tf.pipelines import augment
from anchor_tf.pipelines.build import training_batches
from anchor_tf.pipelines.data import Split

BATCH, WARM_UP, TIMED = 256, 20, 150
CASES = [
    ("crop(padding=4),flip", 1),
    ("crop(padding=4),flip", 2),
    ("resized_crop", 1),
    ("cutout", 1),
    ("color_jitter", 1),
    ("rand_augment", 1),
]


def images_per_second(text: str, views: int) -> float:
    """Of random images of 32x32 in colour."""
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (20_000, 32, 32, 3)).astype(np.uint8)
    split = Split(images, np.zeros(len(images), np.int32))
    function = augment.build(augment.check(text))
    dataset = training_batches(
        split, batch_size=BATCH, seed=0, augment=function, views=views, epochs=3
    )
    for number, _ in enumerate(dataset):
        if number == WARM_UP:
            start = time.perf_counter()
        if number == WARM_UP + TIMED:
            break
    return TIMED * BATCH / (time.perf_counter() - start)


if __name__ == "__main__":
    for text, views in CASES:
        print(f"{text:<24}{views} views{images_per_second(text, views):>12,.0f} images/s")
