"""What docs/serving/ tells users to run does what it says."""

import pathlib
import runpy
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tests.serving import stand_in

EXAMPLES = pathlib.Path(__file__).parents[2] / "docs" / "serving"


@pytest.fixture(scope="module")
def signatures(version):
    loaded = tf.saved_model.load(str(version))
    yield loaded.signatures
    del loaded  # held until here: it owns the variables


def run(script, *arguments):
    command = [sys.executable, str(EXAMPLES / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def lines(names, wanted):
    return [
        f"{name}: {label} ({100 * row[label]:.1f} %)"
        for name, label, row in zip(names, wanted["label"], wanted["probabilities"], strict=True)
    ]


def test_rest(signatures, expected, pictures, decoded, tmp_path):
    paths = [tmp_path / name for name in ("one.jpg", "two.png", "three.png")]
    for path, picture in zip(paths, pictures, strict=True):
        path.write_bytes(picture)
    (tmp_path / "four.gif").write_bytes(b"GIF89a" + bytes(30))
    with stand_in.rest_server("digits", signatures) as model:
        result = run("ask_rest.py", model, *paths)
        refused = run("ask_rest.py", model, paths[0], tmp_path / "four.gif")
        missing = run("ask_rest.py", f"{model}s", paths[0])
    assert result.stdout.splitlines() == lines(paths, expected(decoded(pictures))), result.stderr
    assert refused.returncode == missing.returncode == 1
    assert "image_bytes should be JPEG or PNG" in refused.stderr
    assert missing.stderr.startswith("refused: Malformed request")


def test_grpc(signatures, expected, images, tmp_path, capsys, monkeypatch):
    np.save(tmp_path / "images.npy", images)

    def ask(address, model):
        """Runs the example in this process, which has TensorFlow already."""
        arguments = ["ask_grpc.py", address, model, str(tmp_path / "images.npy")]
        monkeypatch.setattr("sys.argv", arguments)
        runpy.run_path(str(EXAMPLES / "ask_grpc.py"), run_name="__main__")

    with stand_in.grpc_server("digits", signatures) as address:
        ask(address, "digits")
        with pytest.raises(SystemExit, match="refused: Servable not found for request"):
            ask(address, "letters")
    assert capsys.readouterr().out.splitlines() == lines(range(7), expected(images))


def test_models_config_is_one_that_the_server_reads():
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((EXAMPLES / "models.config").read_text(), config)
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path) == ("digits", "/models/digits")
    assert model.model_platform == "tensorflow"
    assert model.model_version_policy.latest.num_versions == 2
