"""Mutated requests to an exported model: an error status or a right answer, and no crash.

The short version sends 60; `HOSTILE=full` 500.
"""

import collections
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.images.rules import LARGEST
from anchor_tf.serving.request_images import ROUNDING
from tests.hostile.mutations import png

REQUESTS = 500 if os.environ.get("HOSTILE") == "full" else 60
SEED = 3


@pytest.fixture(scope="module")
def outcomes(run, tmp_path_factory):
    """What became of each request, from a process that has survived all of them."""
    path = tmp_path_factory.mktemp("served") / "outcomes"
    script = pathlib.Path(__file__).with_name("served_requests.py")
    model = run / "export" / "1"
    completed = subprocess.run(
        [sys.executable, str(script), str(model), str(SEED), str(REQUESTS), str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr[-2000:]
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_request_is_answered_rightly_or_refused(outcomes):
    assert len(outcomes) == REQUESTS
    counts = collections.Counter(one["outcome"] for one in outcomes)
    assert set(counts) == {"answer", "refused"}, counts
    # Neither is rare, or the requests would show little.
    assert min(counts.values()) > REQUESTS // 10
    assert {one["signature"] for one in outcomes} == {"serving_default", "embed", "serve_bytes"}


def test_bombs_are_refused_before_they_are_decoded(outcomes):
    bombs = [one for one in outcomes if f"at most {LARGEST} pixels" in one["reason"]]
    assert len(bombs) > REQUESTS // 50


@pytest.fixture(scope="module")
def signatures(run):
    return tf.saved_model.load(str(run / "export" / "1")).signatures


IMAGES = np.random.RandomState(0).uniform(size=(3, 8, 8, 1)).astype(np.float32)
WRONG = {
    "another size": np.zeros((3, 16, 16, 1), np.float32),
    "another number of channels": np.zeros((3, 8, 8, 3), np.float32),
    "no batch": np.zeros((8, 8, 1), np.float32),
    "grey levels": np.full((1, 8, 8, 1), 255.0, np.float32),
    "below zero": np.where(IMAGES > 0.9, -0.01, IMAGES).astype(np.float32),
    "NaN": np.where(IMAGES > 0.9, np.nan, IMAGES).astype(np.float32),
    "another type": IMAGES.astype(np.float64),
}


@pytest.mark.parametrize("signature", ["serving_default", "embed"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_image_ends_its_request(signatures, signature, wrong):
    with pytest.raises(tf.errors.InvalidArgumentError):
        signatures[signature](images=tf.constant(WRONG[wrong]))


def test_rounding_is_clipped(signatures, classifier):
    images = np.where(IMAGES > 0.5, 1.0 + ROUNDING / 2, -ROUNDING / 2).astype(np.float32)
    logits = signatures["serving_default"](images=tf.constant(images))["logits"]
    expected = classifier(np.clip(images, 0.0, 1.0), training=False)
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_valid_images_pass_unchanged(signatures, classifier):
    logits = signatures["serving_default"](images=tf.constant(IMAGES))["logits"]
    np.testing.assert_allclose(logits, classifier(IMAGES, training=False), atol=1e-5)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "JPEG or PNG"),
        (b"garbage", "JPEG or PNG"),
        (b"GIF89a" + bytes(20), "JPEG or PNG"),
        (b"\xff\xd8\xff" + bytes(20), "JPEG"),
        (png(8, 8, 8)[:20], "JPEG or PNG"),
        (png(8, 8, 4), "PNG"),
        (png(5_793, 5_793, 10), "at most"),
        (png(2**31 - 1, 2**31 - 1, 1), "at most"),
    ],
)
def test_wrong_bytes_end_their_request(signatures, content, reason):
    with pytest.raises(tf.errors.InvalidArgumentError, match=reason):
        signatures["serve_bytes"](image_bytes=tf.constant([png(8, 8, 8), content]))


def test_a_large_image_is_served(signatures):
    side = 2_000
    labels = signatures["serve_bytes"](image_bytes=tf.constant([png(side, side, side)]))["label"]
    assert labels.shape == (1,)
