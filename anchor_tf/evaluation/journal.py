"""The results of finished batches on disk, so that a killed evaluation attacks no image twice."""

import contextlib
import hashlib
import pathlib
import shutil
import zipfile
import zlib

import numpy as np

from anchor_tf.files.atomic import replacing

_NAME = 32  # letters of the digests that folders and files are named by


class Journal:
    """Keeps each finished batch of an evaluation as one file until the evaluation is done.

    A file appears whole or not at all and carries a checksum; one that is damaged is computed
    again.

    Args:
        folder: holds one folder an evaluation.
        identity: what the results depend on, model and images included: other evaluations do not
            see them.

    Attributes:
        computed: batches written, not read, since this object was made.
    """

    def __init__(self, folder: pathlib.Path, identity: str):
        self._folder = pathlib.Path(folder) / identity
        self._earlier = {path.name for path in self._folder.glob("*.npz")}
        self.computed = 0

    @property
    def kept(self) -> int:
        """How many finished batches there are."""
        return len(list(self._folder.glob("*.npz")))

    def read(self, name: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, float] | None:
        """Images [B, ...] and predictions [B] of a batch; None if it is not there.

        With them come the seconds that an earlier process spent on it, 0 if it is of this one's.
        """
        path = self._path(name, rows)
        try:
            with np.load(path, allow_pickle=False) as file:
                images, predictions = file["images"], file["predictions"]
                seconds, checksum = file["seconds"], str(file["checksum"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None
        if checksum != _checksum(images, predictions, seconds):
            return None
        return images, predictions, float(seconds) if path.name in self._earlier else 0.0

    def write(
        self, name: str, rows: np.ndarray, images: np.ndarray, predictions, seconds: float
    ) -> None:
        """Keeps the results of a batch.

        Args:
            name: attack, radius, member and round.
            rows: the batch's rows of the data.
            images: adversarial images [B, ...].
            predictions: the model's, [B].
            seconds: what they took.
        """
        self.computed += 1
        seconds = np.float64(seconds)
        with replacing(self._path(name, rows)) as file:
            np.savez_compressed(
                file,
                images=images,
                predictions=predictions,
                seconds=seconds,
                checksum=_checksum(images, predictions, seconds),
            )

    def clear(self) -> None:
        """Forgets everything, evaluations that were abandoned too, once a report is written."""
        for folder in self._folder.parent.glob("[0-9a-f]" * _NAME):
            shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # it holds what is not ours
            self._folder.parent.rmdir()

    def _path(self, name: str, rows: np.ndarray) -> pathlib.Path:
        digest = hashlib.sha256(name.encode() + np.asarray(rows, np.int64).tobytes())
        return self._folder / f"{digest.hexdigest()[:_NAME]}.npz"


def identity(*parts) -> str:
    """A name for what results depend on: arrays and values, in order."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode()
        digest.update(content)
    return digest.hexdigest()[:_NAME]


def _checksum(*arrays: np.ndarray) -> str:
    return identity(*(np.ascontiguousarray(array) for array in arrays))
