"""What the contrastive loss costs at the scale it is blocked for."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent
CODE = """
import json, resource, statistics, sys, time
import numpy as np
import tensorflow as tf
from anchor_tf.losses.supcon import supervised_contrastive

rows, blocks, rounds = int(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])

@tf.function(autograph=False)
def step(z, labels, block_size):
    with tf.GradientTape() as tape:
        tape.watch(z)
        total = tf.reduce_mean(
            supervised_contrastive(z, labels, beta=1.0, block_size=block_size)
        )
    return total, tape.gradient(total, z)

def take(rows, block_size):
    z = np.random.default_rng(0).normal(size=(rows, 128)).astype(np.float32)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    began = time.perf_counter()
    step(tf.constant(z), tf.range(rows) % 10, block_size)[1].numpy()
    return time.perf_counter() - began

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

take(512, None)
before = peak()
seconds = {str(block): [] for block in blocks}
for turn in range(rounds + 1):
    for block in blocks:
        took = take(rows, block)
        if turn:
            seconds[str(block)].append(took)
medians = {block: statistics.median(times or [0.0]) for block, times in seconds.items()}
print(json.dumps({"megabytes": peak() - before, "seconds": medians}))
"""


def measure(rows, blocks, rounds):
    result = subprocess.run(
        [sys.executable, "-c", CODE, str(rows), json.dumps(blocks), str(rounds)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout.splitlines()[-1])


def test_16384_rows_need_less_than_400_megabytes():
    # The full matrix alone would be 1,074 MB, and loss and gradient hold several of its size.
    assert 10 < measure(16_384, [None], 0)["megabytes"] < 400


@pytest.mark.slow
def test_blocks_cost_at_most_1_3_times_the_full_matrix():
    seconds = measure(8_192, [None, 8_192], 5)["seconds"]
    assert 0.2 < seconds["None"] / seconds["8192"] < 1.3
