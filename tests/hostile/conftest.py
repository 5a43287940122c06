"""Files that nobody should trust, and one finished run."""

import json
import pickle
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from anchor_tf import config, saved_model, specs
from anchor_tf.backbones.small import small
from anchor_tf.models import model_file
from anchor_tf.pipelines import load
from anchor_tf.setup import preparation
from anchor_tf.workdir import Workdir


class Program(tf.Module):
    """A classifier that writes a file when it is called."""

    def __init__(self, target):
        super().__init__()
        self.target = target

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 1], tf.float32, name="images")])
    def serve(self, images):
        tf.io.write_file(self.target, b"written by a model")
        return {"logits": tf.reduce_mean(images, axis=[1, 2]) * tf.ones([1, 10])}


class Payload:
    """An object whose unpickling would write a file."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return open, (self.target, "w")


@pytest.fixture(scope="session")
def classifier():
    """An untrained classifier of digits, as training leaves them."""
    keras.utils.set_random_seed(0)
    backbone = small((8, 8, 1), [0.5], [0.25], width=2)
    images = keras.Input((8, 8, 1), name="images")
    return keras.Model(images, keras.layers.Dense(10, name="classifier")(backbone(images)))


@pytest.fixture(scope="session")
def run(tmp_path_factory, classifier):
    """The workdir of a run that counts as finished."""
    workdir = Workdir(tmp_path_factory.mktemp("runs") / "ce")
    settings = config.TrainConfig(
        method="ce", dataset="digits", backbone="small(width=2)", norm="linf", epsilon=0.1,
        attack_steps=1, training_attack="pgd", precision="float32", epochs=1, finetune="auto",
        finetune_epochs=1, batch_size=20, learning_rate=0.1, finetune_learning_rate=0.01,
        finetune_optimizer="sgd", weight_decay=5e-4, label_smoothing=0.0, ema_decay=0.0, awp=0.0,
        clip_norm=0.0, batch_norm="synchronized", on_divergence="stop",
        warmup_epochs=0.0, ramp_epochs=0.0, augment="flip", train_examples=20, validate_every=1,
        select="last", init_from=None, fold=None, seed=0, attacks="fgsm", examples=10,
    )  # fmt: skip
    data = preparation.part(settings, load.load(load.check(specs.parse("digits"))))
    facts = {"image_shape": [8, 8, 1], "class_names": list("0123456789"), "indices": {}}
    workdir.begin(settings, {**facts, "data_sha256": data.digest()})
    model_file.save(classifier, workdir.model)
    saved_model.export(classifier, workdir.export, image_shape=(8, 8, 1))
    return workdir.path


@pytest.fixture(scope="session")
def hostile(tmp_path_factory, run):
    """A folder of hostile files; what they would write if they could goes to its `written`."""
    folder = tmp_path_factory.mktemp("hostile")
    target = folder / "written"
    target.mkdir()
    (folder / "garbage.npz").write_bytes(np.random.RandomState(0).bytes(1000))
    _archives(folder, target)
    _images(folder / "images")
    _models(folder, target, run)
    for name, text in (("garbage_run", "\x00[[[["), ("wrong_run", _wrong_types(run))):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(text)
        (folder / name / "model.keras").write_text("")
    (folder / "garbage_study").mkdir()
    (folder / "garbage_study" / "study.json").write_text('{"methods": 1}')
    return folder


@pytest.fixture(scope="session")
def hostile_files(hostile, run):
    """The folders that command lines name."""
    return {"hostile": hostile, "run": run}


def _archives(folder, target):
    grey = np.zeros((20, 8, 8), np.uint8)
    labels = np.arange(20) % 2
    arrays = {"x_train": grey, "y_train": labels, "x_test": grey, "y_test": labels}
    np.savez(folder / "whole.npz", **arrays)
    np.savez(
        folder / "rgb.npz",
        **arrays | dict.fromkeys(("x_train", "x_test"), grey[..., None].repeat(3, -1)),
    )
    whole = (folder / "whole.npz").read_bytes()
    (folder / "truncated.npz").write_bytes(whole[: len(whole) // 2])
    payload = np.array([Payload(str(target / "pickle"))], dtype=object)
    np.savez(folder / "pickled.npz", **arrays | {"y_test": payload})
    (folder / "plain_pickle.npz").write_bytes(pickle.dumps(Payload(str(target / "pickle"))))


def _images(folder):
    for part in ("train", "test"):
        for name in ("ant", "bee"):
            (folder / part / name).mkdir(parents=True)
            for number in range(10):
                Image.new("L", (8, 8), 20 * number).save(folder / part / name / f"{number}.png")
    (folder / "train" / "ant" / "bad.png").write_bytes(b"")


def _models(folder, target, run):
    inputs = keras.Input((8, 8, 1))
    features = keras.layers.Lambda(lambda x: x + 1)(keras.layers.Flatten()(inputs))
    keras.Model(inputs, keras.layers.Dense(10)(features)).save(folder / "lambda.keras")
    whole = (run / "model.keras").read_bytes()
    (folder / "half.keras").write_bytes(whole[: len(whole) // 2])
    program = Program(str(target / "program"))
    tf.saved_model.save(program, str(folder / "program"), signatures=program.serve)
    (folder / "damaged").mkdir()
    (folder / "damaged" / "saved_model.pb").write_bytes(b"\xff" * 100)


def _wrong_types(run) -> str:
    content = json.loads((run / "config.json").read_text())
    content["train"]["epsilon"] = "large"
    return json.dumps(content)


@pytest.fixture
def patched(run, tmp_path):
    """A function that copies a run's model.keras with another config.json in it."""

    def patch(change):
        path = tmp_path / "patched.keras"
        with zipfile.ZipFile(run / "model.keras") as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                content = old.read(name)
                if name == "config.json":
                    content = json.dumps(change(json.loads(content))).encode()
                new.writestr(name, content)
        return path

    return patch
