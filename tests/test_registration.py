"""Saved models find the classes of anchor_tf, whichever of it and Keras is imported first."""

import importlib
import json
import pathlib
import pkgutil
import subprocess
import sys

import keras
import numpy as np
import pytest

import anchor_tf
from anchor_tf import registration
from anchor_tf.backbones.preact_resnet import preact_resnet
from anchor_tf.losses import keras_losses
from anchor_tf.models import model_file
from tests.methods.method_cases import build, element
from tests.slow_cases import slow_but

ROOT = pathlib.Path(__file__).parent.parent
LOADING = """
import json, pathlib, sys
{imports}
import numpy as np
folder = pathlib.Path(sys.argv[1])
images = np.load(folder / "images.npy")
found = {{}}
for path in sorted(folder.glob("*.keras")):
    model = keras.models.load_model(path)
    found[path.stem] = [type(model).__name__, model.predict(images, verbose=0).tolist()]
loss = keras.losses.deserialize(json.loads((folder / "loss.json").read_text()))
found["loss"] = [type(loss).__name__, float(loss(np.arange(4) % 2, images[:4, :, 0, 0]))]
print(json.dumps(found))
"""
ORDERS = {
    "anchor_tf first": "import anchor_tf, keras",
    "keras first": "import keras, anchor_tf",
    "a part of anchor_tf first": "import anchor_tf.methods.ce, keras",
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Models of all kinds, and what they are in this process."""
    folder = tmp_path_factory.mktemp("saved")
    images = element()["images"].numpy()
    backbone = preact_resnet((8, 8, 1), [0.5], [0.25], width=2)
    models = {"run": keras.Sequential([backbone, keras.layers.Dense(4)]), "method": build("ce")}
    for name in ("SupervisedContrastive", "PairMargin", "BoostedCrossEntropy"):
        models[name] = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
        models[name].compile("sgd", loss=getattr(keras_losses, name)())
    expected = {}
    for name, model in models.items():
        model_file.save(model, folder / f"{name}.keras")
        expected[name] = [type(model).__name__, model.predict(images, verbose=0).tolist()]
    loss = keras_losses.PairMargin(margin=0.7)
    (folder / "loss.json").write_text(json.dumps(keras.losses.serialize(loss)))
    expected["loss"] = ["PairMargin", float(loss(np.arange(4) % 2, images[:4, :, 0, 0]))]
    np.save(folder / "images.npy", images)
    return folder, expected


@pytest.mark.parametrize("order", slow_but(list(ORDERS)[:2], ORDERS))
def test_a_fresh_process_loads_every_class(saved, order):
    folder, expected = saved
    code = LOADING.format(imports=ORDERS[order])
    command = [sys.executable, "-c", code, str(folder)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    found = json.loads(result.stdout.splitlines()[-1])
    assert found.keys() == expected.keys()
    for name, (kind, values) in expected.items():
        assert found[name][0] == kind
        np.testing.assert_allclose(found[name][1], values, rtol=1e-5, atol=1e-6)


def test_keras_is_loaded_by_its_own_loader_and_the_hook_is_gone():
    code = """
import sys
import anchor_tf
hooks = [finder for finder in sys.meta_path if type(finder).__module__ == "anchor_tf.registration"]
import keras
assert len(hooks) == 1 and hooks[0] not in sys.meta_path
assert type(keras.__spec__.loader).__module__ != "anchor_tf.registration"
assert keras.__loader__ is keras.__spec__.loader
assert "anchor_tf>Anchor" in keras.saving.get_custom_objects()
assert not any(name.startswith("anchor_tf.methods") for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_list_of_classes_is_whole():
    for family in ("methods", "losses", "backbones"):
        package = importlib.import_module(f"anchor_tf.{family}")
        for module in pkgutil.walk_packages(package.__path__, f"anchor_tf.{family}."):
            importlib.import_module(module.name)
    ours = {
        name: one.__module__
        for name, one in keras.saving.get_custom_objects().items()
        if one.__module__.startswith(("anchor_tf.methods", "anchor_tf.losses", "anchor_tf.backb"))
    }
    assert ours == {
        f"anchor_tf>{name}": f"anchor_tf.{module}"
        for module, names in registration.CLASSES.items()
        for name in names
    }
    assert anchor_tf.Anchor.__name__ in registration.CLASSES["methods.anchor"]


def test_names_never_change():
    assert {name for names in registration.CLASSES.values() for name in names} >= {
        "AESupCon", "Anchor", "BoostedCrossEntropy", "CE", "CLEAD", "ChannelNormalization",
        "ConvolutionBatchNorm", "FAT", "FusedBatchNormalization", "MART", "MarginSupCon", "PGDAT",
        "PairMargin", "RoCL", "SupCon", "SupervisedContrastive", "TRADES", "UnitLength",
    }  # fmt: skip
