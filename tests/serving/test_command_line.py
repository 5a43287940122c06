"""TensorFlow's own saved_model_cli shows the signatures and runs them."""

import subprocess
import sys

import numpy as np


def cli(*arguments):
    command = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-1000:]
    return result.stdout


def test_show(version):
    shown = cli("show", "--dir", str(version), "--all")
    assert "MetaGraphDef with tag-set: 'serve'" in shown
    for signature, fed, shape, outputs in (
        ("serving_default", "images", "(-1, 16, 12, 3)", ("logits", "probabilities", "label")),
        ("embed", "images", "(-1, 16, 12, 3)", ("embedding",)),
        ("serve_bytes", "image_bytes", "(-1)", ("logits", "probabilities", "label")),
    ):
        _, _, rest = shown.partition(f"signature_def['{signature}']:")
        part, method, _ = rest.partition("Method name is: tensorflow/serving/predict")
        assert method
        assert f"inputs['{fed}'] tensor_info:" in part
        assert f"shape: {shape}" in part
        assert part.count("outputs['") == len(outputs)
        assert all(f"outputs['{name}'] tensor_info:" in part for name in outputs)


def test_run(version, expected, images, tmp_path):
    np.save(tmp_path / "images.npy", images)
    cli(
        *("run", "--dir", str(version), "--tag_set", "serve"),
        *("--signature_def", "serving_default", "--outdir", str(tmp_path)),
        *("--inputs", f"images={tmp_path / 'images.npy'}"),
    )
    wanted = expected(images)
    for name in ("logits", "probabilities", "label"):
        answer = np.load(tmp_path / f"{name}.npy")
        np.testing.assert_allclose(answer, wanted[name], atol=1e-5, rtol=0)
