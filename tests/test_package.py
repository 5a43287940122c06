"""The package as a library: what its import costs, and every example of README as it stands."""

import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import tensorflow as tf

from anchor_tf.models import model_file

ROOT = pathlib.Path(__file__).parent.parent
IMPORT = """
import sys, time
began = time.perf_counter()
import anchor_tf
print(time.perf_counter() - began, "tensorflow" in sys.modules)
"""


def test_the_import_is_quick_and_leaves_tensorflow_alone():
    command = [sys.executable, "-c", IMPORT]
    seconds, tensorflow = [], set()
    for _ in range(3):
        output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        seconds.append(float(output.stdout.split()[0]))
        tensorflow.add(output.stdout.split()[1])
    assert tensorflow == {"False"}
    assert min(seconds) < 0.1


def test_the_examples_of_the_readme_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(examples) == 3
    generator = np.random.default_rng(0)
    labels = np.arange(40, dtype=np.int32) % 10
    images = np.clip(generator.normal(labels[:, None, None, None] / 10, 0.1, (40, 8, 8, 1)), 0, 1)
    given = {
        "images": images.astype(np.float32),
        "labels": labels,
        "my_backbone": keras.Sequential(
            [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(16, "relu")]
        ),
        "model": keras.Sequential(
            [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
        ),
        "encoder": keras.Sequential(
            [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(16)]
        ),
    }
    for example in examples:
        quick = re.sub(r"epochs=\d+", "epochs=1", example)
        scope = dict(given)
        exec(quick, scope)
        made = set(scope) - set(given) - {"__builtins__"}
        assert made, example
    assert model_file.load("model.keras")(given["images"]).shape == (40, 10)
    assert model_file.load("export")(tf.constant(given["images"])).shape == (40, 10)
    adversarial = scope_of(examples[0], given)["adversarial"]
    assert adversarial.shape == images.shape
    assert np.abs(adversarial - given["images"]).max() <= 8 / 255 + 1e-6


def scope_of(example, given):
    scope = dict(given)
    exec(example, scope)
    return scope
