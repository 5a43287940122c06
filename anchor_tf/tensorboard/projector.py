"""Embeddings of clean and attacked images for TensorBoard's projector."""

import dataclasses
import io
import math
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from anchor_tf.files.atomic import replacing
from anchor_tf.tensorboard import summary_file
from anchor_tf.tensorboard.mosaic import mosaic, thumbnails

POINTS = 1_000  # as many as are shown, two of an image
_THUMBNAIL, _LARGEST_SPRITE = 32, 8192  # pixels; more than the latter browsers do not draw
_VECTORS, _METADATA, _SPRITE = "vectors.tsv", "metadata.tsv", "sprite.png"
_COLUMNS = ("id", "label", "clean_prediction", "attacked_prediction", "attacked")


@dataclasses.dataclass(frozen=True, eq=False)
class Side:
    """N images as they are, or as an attack left them.

    Attributes:
        images: uint8, or floats in [0, 1]; [N, H, W, C].
        embeddings: [N, F], of norm 1.
        predictions: int [N]; below 0 where the logits are not finite.
    """

    images: np.ndarray
    embeddings: np.ndarray
    predictions: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Shown:
    """What the projector shows.

    Attributes:
        ids: int [N], of the images in their split.
        labels: int [N].
        clean: the images.
        attacked: the same, attacked.
        targets: bool [N], which were attacked at all; the others have one point.
    """

    ids: np.ndarray
    labels: np.ndarray
    clean: Side
    attacked: Side
    targets: np.ndarray


def write(folder: pathlib.Path, name: str, shown: Shown, class_names: Sequence[str]) -> None:
    """Writes vectors, metadata and thumbnails, and the configuration that names them.

    Clean images come first, then the attacked ones; `id` says which belong together. Others that
    were written to the folder before stay there to be chosen.

    Args:
        folder: becomes a run of TensorBoard.
        name: what the projector calls these points; a folder of this name holds them.
        shown: the points.
        class_names: the name of each label.
    """
    targets = shown.targets
    vectors = np.concatenate([shown.clean.embeddings, shown.attacked.embeddings[targets]])
    images = np.concatenate(
        [thumbnails(side.images, _size(len(vectors))) for side in (shown.clean, shown.attacked)]
    )
    images = images[np.concatenate([np.ones(len(targets), bool), targets])]
    with replacing(folder / name / _VECTORS) as file:
        np.savetxt(file, vectors, fmt="%.6g", delimiter="\t")
    with replacing(folder / name / _METADATA) as file:
        file.write(_metadata(shown, class_names).encode())
    with replacing(folder / name / _SPRITE) as file:
        Image.fromarray(mosaic(images, _columns(len(images)))).save(file, "PNG")
    _configure(folder)


def _metadata(shown: Shown, class_names: Sequence[str]) -> str:
    # Whatever is no letter of a name may be a tab or the end of a line to who reads the table.
    names = ["".join(c if c.isprintable() else " " for c in name) for name in class_names]
    text = io.StringIO()
    print(*_COLUMNS, sep="\t", file=text)
    for attacked in ("no", "yes"):
        for i in range(len(shown.ids)):
            if attacked == "yes" and not shown.targets[i]:
                continue
            answers = (shown.clean.predictions[i], shown.attacked.predictions[i])
            told = (names[a] if a >= 0 else "not finite" for a in answers)
            print(shown.ids[i], names[shown.labels[i]], *told, attacked, sep="\t", file=text)
    return text.getvalue()


def _configure(folder: pathlib.Path) -> None:
    """Lists all points of the folder; the event file makes it a run."""
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    config = ProjectorConfig()
    for path in sorted(folder.glob(f"*/{_SPRITE}"), key=lambda path: _order(path.parent.name)):
        name = path.parent.name
        embedding = config.embeddings.add(tensor_name=name)
        embedding.tensor_path = f"{name}/{_VECTORS}"
        embedding.metadata_path = f"{name}/{_METADATA}"
        embedding.sprite.image_path = f"{name}/{_SPRITE}"
        lines = path.with_name(_METADATA).read_text(encoding="utf-8").count("\n") - 1
        with Image.open(path) as sprite:
            side = sprite.width // _columns(lines)
            embedding.sprite.single_image_dim.extend([side, sprite.height // _rows(lines)])
    summary_file.write(folder / "events.out.tfevents.projector")
    with replacing(folder / "projector_config.pbtxt") as file:
        file.write(text_format.MessageToString(config).encode())


def _order(name: str) -> tuple:
    """The finished model, fine-tuning, training; of each phase the last epochs first."""
    phase, _, epoch = name.partition("_epoch_")
    return phase, -int(epoch) if epoch.isdecimal() else 0


def _columns(count: int) -> int:
    return math.ceil(math.sqrt(count))


def _rows(count: int) -> int:
    return -(-count // _columns(count))


def _size(count: int) -> int:
    """Pixels of a thumbnail with which the sprite is not too large."""
    return max(1, min(_THUMBNAIL, _LARGEST_SPRITE // _columns(count)))
