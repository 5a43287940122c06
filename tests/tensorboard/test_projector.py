"""What is written for the projector: vectors, table and thumbnails that belong together."""

import csv

import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from anchor_tf.tensorboard.mosaic import mosaic, thumbnails
from anchor_tf.tensorboard.projector import Shown, Side, write

NAMES = ["tab\there", "b"]


def shown(count=5, size=8, channels=1, features=3, targets=None):
    """Images that brighten with their place, the attacked ones inverted."""
    images = np.zeros((count, size, size, channels), np.uint8)
    images += (np.arange(count) * 40 % 256).astype(np.uint8)[:, None, None, None]
    vectors = np.random.default_rng(0).normal(size=(2, count, features))
    labels = np.arange(count) % 2
    clean = Side(images, vectors[0], labels)
    attacked = Side((255 - images) / np.float32(255), vectors[1], 1 - labels)
    targets = np.ones(count, bool) if targets is None else np.asarray(targets)
    return Shown(100 + np.arange(count), labels, clean, attacked, targets)


def read(folder, name):
    vectors = np.loadtxt(folder / name / "vectors.tsv", delimiter="\t")
    with open(folder / name / "metadata.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return vectors, rows, np.asarray(Image.open(folder / name / "sprite.png"))


def test_rows_vectors_and_thumbnails_belong_together(tmp_path):
    points = shown(targets=[True, True, False, True, True])
    points.attacked.predictions[4] = -1
    write(tmp_path, "final", points, NAMES)
    vectors, rows, sprite = read(tmp_path, "final")
    assert [int(row["id"]) for row in rows] == [100, 101, 102, 103, 104, 100, 101, 103, 104]
    assert [row["attacked"] for row in rows] == ["no"] * 5 + ["yes"] * 4
    expected = [*points.clean.embeddings, *points.attacked.embeddings[[0, 1, 3, 4]]]
    np.testing.assert_allclose(vectors, expected, rtol=1e-5)
    assert sprite.shape == (96, 96, 3)
    brightness = [40 * i for i in range(5)] + [255 - 40 * i for i in (0, 1, 3, 4)]
    for place, row in enumerate(rows):
        column, line = place % 3, place // 3
        tile = sprite[32 * line : 32 * line + 32, 32 * column : 32 * column + 32]
        assert (tile == brightness[place]).all()
        place = int(row["id"]) - 100
        assert row["label"] == row["clean_prediction"] == ["tab here", "b"][place % 2]
        answer = ["b", "tab here"][place % 2] if place < 4 else "not finite"
        assert row["attacked_prediction"] == answer


def test_the_configuration_lists_all_points_the_finished_model_s_first(tmp_path):
    for name in ("train_epoch_5", "train_epoch_10", "final", "finetune_epoch_2"):
        write(tmp_path, name, shown(size=12), NAMES)
    config = ProjectorConfig()
    text_format.Parse((tmp_path / "projector_config.pbtxt").read_text(), config)
    names = [embedding.tensor_name for embedding in config.embeddings]
    assert names == ["final", "finetune_epoch_2", "train_epoch_10", "train_epoch_5"]
    for embedding in config.embeddings:
        assert list(embedding.sprite.single_image_dim) == [24, 24]
        for path in (embedding.tensor_path, embedding.metadata_path, embedding.sprite.image_path):
            assert (tmp_path / path).exists()
    assert list(tmp_path.glob("*tfevents*"))


@pytest.mark.parametrize(
    ("shape", "largest", "expected"),
    [((8, 8), 32, (32, 32)), ((28, 28), 32, (28, 28)), ((64, 48), 32, (32, 24))],
)
def test_thumbnails_keep_their_proportions(shape, largest, expected):
    images = np.full((2, *shape, 3), 0.5, np.float32)
    small = thumbnails(images, largest)
    assert small.shape == (2, *expected, 3)
    assert (small == 128).all()


def test_a_mosaic_is_filled_row_by_row():
    tiles = np.arange(1, 4, dtype=np.uint8)[:, None, None, None] * np.ones((3, 1, 2, 3), np.uint8)
    grid = mosaic(tiles, columns=2, gap=1)[:, :, 0]
    np.testing.assert_array_equal(grid, [[1, 1, 0, 2, 2, 0], [0] * 6, [3, 3, 0, 0, 0, 0], [0] * 6])


def test_many_points_make_no_sprite_that_browsers_refuse(tmp_path, monkeypatch):
    monkeypatch.setattr("anchor_tf.tensorboard.projector._LARGEST_SPRITE", 100)
    write(tmp_path, "final", shown(count=40), NAMES)
    _, rows, sprite = read(tmp_path, "final")
    assert len(rows) == 80
    assert sprite.shape == (72, 72, 3)  # nine in a row, 8 pixels each instead of 32


def test_a_thousand_images_are_one_sprite(tmp_path):
    write(tmp_path, "final", shown(count=1_000, size=32, channels=3, features=512), NAMES)
    _, rows, sprite = read(tmp_path, "final")
    assert len(rows) == 2_000
    assert sprite.shape == (1440, 1440, 3)  # 45 in a row
