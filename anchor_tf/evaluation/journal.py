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
_STARTS = ".starts"


class Journal:
    """Keeps each finished batch of an evaluation as one file until the evaluation is done.

    A file appears whole or not at all and carries a checksum; one that is damaged is computed
    again. Of the images only those are kept that the evaluation still needs.

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

        An image that was not kept is NaN. With them come the seconds that an earlier process spent
        on the batch, 0 if it is of this one's.
        """
        path = self._path(name, rows)
        found = _read(path, "kept", "images", "predictions", "seconds")
        if found is None:
            return None
        kept, images, predictions, seconds = found
        seconds = float(seconds) if path.name in self._earlier else 0.0
        return _among_all(kept, images), predictions, seconds

    def outline(self, name: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Predictions [B] and which images are kept, bool [B]; None if the batch is not there."""
        found = _read(self._path(name, rows), "kept", "images", "predictions", "seconds")
        return None if found is None else (found[2], found[0])

    def write(
        self, name: str, rows: np.ndarray, images, predictions, seconds: float, kept=None
    ) -> None:
        """Keeps the results of a batch.

        Args:
            name: attack, radius, member and round.
            rows: the batch's rows of the data.
            images: adversarial images [B, ...].
            predictions: the model's, [B].
            seconds: what they took.
            kept: which of the images are kept, bool [B]; all by default.
        """
        self.computed += 1
        kept = np.ones(len(rows), bool) if kept is None else kept
        _write(
            self._path(name, rows),
            kept=kept,
            images=images[kept],
            predictions=predictions,
            seconds=np.float64(seconds),
        )

    def read_starts(self, name: str, rows: np.ndarray) -> np.ndarray | None:
        """The images [B, ...] of a batch that the next round starts from; the others are NaN."""
        found = _read(self._path(name, rows).with_suffix(_STARTS), "kept", "images")
        return None if found is None else _among_all(*found)

    def write_starts(self, name: str, rows: np.ndarray, images, kept: np.ndarray) -> None:
        """Keeps those images of a batch, bool [B], that the next round starts from."""
        _write(
            self._path(name, rows).with_suffix(_STARTS),
            kept=kept,
            images=images[kept],
        )

    def forget_starts(self, name: str, rows: np.ndarray) -> None:
        """Removes what `write_starts` has kept, once the next round is done."""
        self._path(name, rows).with_suffix(_STARTS).unlink(missing_ok=True)

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


def _write(path: pathlib.Path, **arrays: np.ndarray) -> None:
    with replacing(path) as file:
        np.savez_compressed(file, **arrays, checksum=_checksum(*arrays.values()))


def _read(path: pathlib.Path, *names: str) -> list[np.ndarray] | None:
    """The arrays of these names, all that the file holds; None if it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays, checksum = [file[name] for name in names], str(file["checksum"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return arrays if checksum == _checksum(*arrays) else None


def _among_all(kept: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Images [k, ...] at their places, bool [B], among B images; NaN elsewhere."""
    found = np.full((len(kept), *images.shape[1:]), np.nan, images.dtype)
    found[kept] = images
    return found


def _checksum(*arrays: np.ndarray) -> str:
    return identity(*(np.ascontiguousarray(array) for array in arrays))
