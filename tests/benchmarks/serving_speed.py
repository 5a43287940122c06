"""How fast an exported ResNet-18 answers through TensorFlow's C API, beside the bare Keras model.

    PYTHONPATH=. python tests/benchmarks/serving_speed.py --rounds=15 --out=serving_speed.json

Both take turns in each round: the program of tests/serving/answer.c, which asks serving_default for
its three outputs, and a tf.function of the Keras model's forward pass.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from anchor_tf import saved_model
from anchor_tf.backbones.resnet import resnet
from anchor_tf.devices.machine import processor
from tests.benchmarks.turns import keep
from tests.serving import c_program

SHAPE = (32, 32, 3)
BATCHES = {1: 10, 64: 1}  # images a request: answers a round


def classifier() -> keras.Model:
    """ResNet-18 with ten classes."""
    backbone = resnet(SHAPE, [0.5] * 3, [0.25] * 3, depth=18, width=64)
    images = keras.Input(SHAPE, name="images")
    return keras.Model(images, keras.layers.Dense(10, name="classifier")(backbone(images)))


class Served:
    """The C program with one request, which it answers again when asked to."""

    def __init__(self, program, version, images, folder):
        folder.mkdir()
        command, self.names = c_program.command(program, version, "serving_default", images, folder)
        self.folder = folder
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        self.load, self.first = (float(self.process.stdout.readline()) for _ in range(2))

    def seconds(self, times):
        """Mean seconds of so many answers."""
        self.process.stdin.write(f"{times}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        """Lets the program end."""
        self.process.communicate()


def keras_seconds(forward, images, times) -> float:
    """Mean seconds of so many forward passes."""
    began = time.perf_counter()
    for _ in range(times):
        forward(images).numpy()
    return (time.perf_counter() - began) / times


def measured(folder: pathlib.Path, rounds: int) -> dict:
    """All figures, in seconds."""
    program, model = c_program.compiled(folder), classifier()
    images = {count: np.random.default_rng(0).uniform(size=(count, *SHAPE)) for count in BATCHES}
    images = {count: pixels.astype(np.float32) for count, pixels in images.items()}
    began = time.perf_counter()
    version = saved_model.export(model, folder / "export", image_shape=SHAPE)
    exported = time.perf_counter()
    served = {1: Served(program, version, images[1], folder / "one")}
    answered = time.perf_counter()
    served[64] = Served(program, version, images[64], folder / "many")
    figures = {
        "export": exported - began,
        "load": served[1].load,
        "first_answer": served[1].first,
        "export_to_first_answer": answered - began,
    }
    signature = [tf.TensorSpec([None, *SHAPE])]
    forward = tf.function(lambda x: model(x, training=False), input_signature=signature)
    for count, times in BATCHES.items():
        tensor = tf.constant(images[count])
        logits = c_program.answer(served[count].folder, served[count].names)["logits"]
        np.testing.assert_allclose(logits, forward(tensor), atol=1e-5)
        turns = [
            (served[count].seconds(times), keras_seconds(forward, tensor, times))
            for _ in range(rounds + 1)
        ][1:]
        ratios = sorted(ours / bare for ours, bare in turns)
        figures[f"batch_{count}"] = {
            "seconds": statistics.median(ours for ours, _ in turns),
            "keras_seconds": statistics.median(bare for _, bare in turns),
            "ratio": statistics.median(ratios),
            "ratio_quartiles": [ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]],
        }
    for one in served.values():
        one.close()
    return figures


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    machine = {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": os.getloadavg()[0],
        "tensorflow": tf.__version__,
    }
    with tempfile.TemporaryDirectory() as folder:
        figures = {"machine": machine, **measured(pathlib.Path(folder), options.rounds)}
    keep(figures, options.out)


if __name__ == "__main__":
    main()
