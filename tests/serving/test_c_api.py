"""The SavedModel in a C program that knows TensorFlow's C API alone: what TF Serving builds on."""

import subprocess

import numpy as np
import pytest

from tests.serving import c_program

pytestmark = pytest.mark.skipif(c_program.missing() is not None, reason=str(c_program.missing()))


@pytest.fixture(scope="module")
def ask(version, tmp_path_factory):
    """A function that asks a signature in a process of its own."""
    folder = tmp_path_factory.mktemp("c")
    program = c_program.compiled(folder)

    def asked(signature, request):
        command, names = c_program.command(program, version, signature, request, folder)
        result = subprocess.run(
            command, input="", capture_output=True, text=True, timeout=60, check=False
        )
        assert result.returncode == 0, result.stderr[-1000:]
        load, first = map(float, result.stdout.split())
        assert 0 < load < 60
        assert 0 < first < 60
        return c_program.answer(folder, names)

    asked.program, asked.folder = program, folder
    return asked


@pytest.mark.parametrize("size", [1, 7])
def test_images(ask, expected, images, size):
    answer = ask("serving_default", images[:size])
    wanted = expected(images[:size])
    assert sorted(answer) == ["label", "logits", "probabilities"]
    np.testing.assert_array_equal(answer["label"], wanted["label"])
    for name in ("logits", "probabilities"):
        np.testing.assert_allclose(answer[name], wanted[name], atol=1e-5, rtol=0)


def test_embeddings(ask, expected, images):
    answer = ask("embed", images)["embedding"]
    np.testing.assert_allclose(answer, expected(images)["embedding"], atol=1e-5, rtol=0)
    assert np.abs(answer - answer[0]).max() > 1e-3


def test_jpeg_and_png_bytes(ask, expected, pictures, decoded):
    answer = ask("serve_bytes", pictures)
    wanted = expected(decoded(pictures))
    np.testing.assert_array_equal(answer["label"], wanted["label"])
    for name in ("logits", "probabilities"):
        np.testing.assert_allclose(answer[name], wanted[name], atol=1e-5, rtol=0)
    assert np.abs(answer["logits"][1] - answer["logits"][2]).max() > 1e-3


def test_a_wrong_request_gets_an_error_and_no_answer(ask, version, pictures):
    for signature, request, reason in (
        ("serving_default", np.full((1, 16, 12, 3), 2.0, np.float32), "pixels in [0, 1]"),
        ("serve_bytes", [pictures[0], b"GIF89a" + bytes(30)], "JPEG or PNG"),
    ):
        (ask.folder / "answer.bin").unlink(missing_ok=True)
        command, _ = c_program.command(ask.program, version, signature, request, ask.folder)
        result = subprocess.run(
            command, input="", capture_output=True, text=True, timeout=60, check=False
        )
        assert result.returncode == 1
        assert reason in result.stderr
        assert not (ask.folder / "answer.bin").exists()
