"""The package as a library: what its import costs, and the documents' examples as they stand."""

import importlib
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import plugins, specs
from anchor_tf.backbones.small import small
from anchor_tf.models import model_file
from anchor_tf.threat import Threat

ROOT = pathlib.Path(__file__).parent.parent
IMPORT = """
import sys
before = set(sys.modules)
import anchor_tf
print(*sorted({name.split(".")[0] for name in set(sys.modules) - before}))
print(len([name for name in sys.modules if name.startswith("anchor_tf.")]))
"""


def test_the_import_is_quick_and_leaves_tensorflow_alone():
    command = [sys.executable, "-c", IMPORT]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    packages, count = output.splitlines()
    assert set(packages.split()) <= {"anchor_tf", *sys.stdlib_module_names}
    assert int(count) <= 12  # what it takes to name the members and to switch oneDNN on


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
        "test_images": images[:20].astype(np.float32),
        "test_labels": labels[:20],
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


@pytest.fixture
def plugged_in(tmp_path):
    """Puts a source text among the plug-ins of a family; returns the callable that a spec names."""
    added = []

    def plug_in(source, family, text):
        spec = specs.parse(text)
        folder = tmp_path / spec.name
        folder.mkdir()
        (folder / f"{spec.name}.py").write_text(source)
        path = importlib.import_module(family).__path__
        path.append(str(folder))
        added.append((path, str(folder), f"{family}.{spec.name}"))
        plugins.entries.cache_clear()
        return specs.load(specs.check(spec, family, "plug-in"), family)

    yield plug_in
    for path, folder, module in added:
        path.remove(folder)
        sys.modules.pop(module, None)
    plugins.entries.cache_clear()


def test_the_examples_of_build_md_are_an_attack_and_a_method(plugged_in):
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "BUILD.md").read_text(), re.DOTALL)
    attack, method = examples
    threat, images = Threat("linf", 0.1), np.full((6, 8, 8, 1), 0.5, np.float32)
    noise = plugged_in(attack, "anchor_tf.attacks", "noise(scale=0.5)")
    labels = np.zeros(6, np.int32)
    moved = noise(lambda x: 2 - tf.reshape(x, [-1, 64]), images, labels, threat, scale=0.5)
    np.testing.assert_allclose(np.abs(moved - images), 0.05, rtol=1e-5)

    trained = plugged_in(method, "anchor_tf.methods", "clean_and_robust(weight=0.5)")
    backbone = small((8, 8, 1), [0.5], [0.25], width=2)
    classifier = trained(backbone, 10, threat, weight=0.5)
    classifier.compile(optimizer="sgd")
    history = classifier.fit(images, np.arange(6), batch_size=6, verbose=0).history
    both = [history[f"{name}_cross_entropy"][0] for name in ("clean", "adversarial")]
    assert history["loss"][0] == pytest.approx(sum(both), rel=1e-5)
    assert both[0] < 0.5 * both[1]  # half the weight, and not attacked
