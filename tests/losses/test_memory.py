"""What the losses over all pairs cost at the scale they are blocked for."""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.slow_cases import slow_but

pytestmark = [pytest.mark.numeric, pytest.mark.slow]

ROOT = pathlib.Path(__file__).parent.parent.parent
CODE = """
import sys
import numpy as np
import tensorflow as tf
from anchor_tf.losses.infonce import info_nce
from anchor_tf.losses.pair_margin import pair_margin
from anchor_tf.losses.supcon import supervised_contrastive

rows = int(sys.argv[2])
loss = {
    "supervised_contrastive": lambda z, labels: supervised_contrastive(z, labels, beta=1.0),
    "info_nce": lambda z, labels: info_nce(z, z[::-1], z, labels, labels),
    "pair_margin": lambda z, labels: pair_margin(z, labels, margin=1.0),
}[sys.argv[1]]

@tf.function(autograph=False)
def step(z, labels):
    with tf.GradientTape() as tape:
        tape.watch(z)
        total = tf.reduce_mean(loss(z, labels))
    return total, tape.gradient(total, z)

def take(rows):
    z = np.random.default_rng(0).normal(size=(rows, 128)).astype(np.float32)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    step(tf.constant(z), tf.range(rows) % 10)[1].numpy()

def peak():
    # Not getrusage, whose maximum a process inherits from the one that started it.
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024

take(512)
before = peak()
take(rows)
print(peak() - before)
"""


@pytest.mark.parametrize(
    "loss",
    slow_but(["supervised_contrastive"], ["supervised_contrastive", "info_nce", "pair_margin"]),
)
def test_16384_rows_need_less_than_400_megabytes(loss):
    # The full matrix alone would be 1,074 MB, and loss and gradient hold several of its size.
    result = subprocess.run(
        [sys.executable, "-c", CODE, loss, "16384"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert 10 < float(result.stdout.splitlines()[-1]) < 400
