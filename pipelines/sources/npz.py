"""Images in a NumPy archive."""

import pathlib

import numpy as np

from anchor_tf.errors import UserError
from anchor_tf.files import archives
from anchor_tf.pipelines.data import ImageData, Split, check_split, recipe_for
from anchor_tf.pipelines.splits import hold_out_validation

_TOLERATED = 1e-3  # outside [0, 1], as by rounding; clipped
_KEYS = ("x_train", "y_train", "x_test", "y_test")


def npz(*, path: str) -> ImageData:
    """Reads an archive with the keys x_train, y_train, x_test and y_test.

    Args:
        path: the archive. Images are grey [N, H, W] or [N, H, W, 1] or RGB [N, H, W, 3]: integers
            in 0..255, or floats in [0, 1], which may exceed it by 1e-3 and are clipped. Labels are
            integers 0..K-1, [N] or [N, 1]; each of them must occur in both splits.

    Raises:
        UserError: the file cannot be read, or does not hold what is described above.
    """
    file = pathlib.Path(path).expanduser()
    arrays = _read(file)
    classes = _classes(arrays, file)
    splits = {}
    for part in ("train", "test"):
        images = _images(arrays[f"x_{part}"], f"{file}: x_{part}")
        split = Split(images, arrays[f"y_{part}"].astype(np.int32))
        check_split(split, classes, f"{file}: x_{part}")
        splits[part] = split
    shapes = [split.images.shape[1:] for split in splits.values()]
    if shapes[0] != shapes[1]:
        raise UserError(f"{file}: x_train has images of {shapes[0]}, x_test of {shapes[1]}")
    return hold_out_validation(
        name=file.stem,
        train=splits["train"],
        test=splits["test"],
        class_names=tuple(str(label) for label in range(classes)),
        recipe=recipe_for(shapes[0]),
    )


def _read(file: pathlib.Path) -> dict[str, np.ndarray]:
    """The four arrays; labels are brought to the shape [N]."""
    if not file.is_file():
        raise UserError(f"{file}: no such file")
    archives.check(file, "an .npz archive of numbers")
    try:
        with np.load(file, allow_pickle=False) as archive:
            missing = [key for key in _KEYS if key not in archive]
            found = ", ".join(archive.files) or "nothing"
            arrays = {key: archive[key] for key in _KEYS if key in archive}
    except Exception as error:  # what a damaged archive raises is not limited to any kinds
        what = archives.reason(error)
        raise UserError(f"{file} cannot be read as an .npz archive of numbers: {what}") from error
    if missing:
        raise UserError(f"{file}: {', '.join(missing)} missing; it holds {found}")
    for key in ("y_train", "y_test"):
        arrays[key] = _labels(arrays[key], f"{file}: {key}")
    return arrays


def _labels(labels: np.ndarray, where: str) -> np.ndarray:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise UserError(f"{where} has the shape {labels.shape}; it should be [N] or [N, 1]")
    if labels.dtype.kind not in "iuf" or not np.all(np.mod(labels, 1) == 0):
        raise UserError(f"{where}: labels should be integers")
    return labels


def _classes(arrays: dict[str, np.ndarray], file: pathlib.Path) -> int:
    """Number of classes, after checking that both splits hold every one of them."""
    for key in ("y_train", "y_test"):
        if not len(arrays[key]):
            raise UserError(f"{file}: {key} is empty")
        if arrays[key].min() < 0:
            raise UserError(f"{file}: {key}: label {int(arrays[key].min())} is negative")
    present = {part: set(np.unique(arrays[f"y_{part}"]).tolist()) for part in ("train", "test")}
    either = present["train"] | present["test"]
    if len(either) < 2:
        raise UserError(f"{file}: only one class; two at least are needed")
    expected = set(range(len(either)))
    if either != expected:
        wrong = int(min(either - expected))
        raise UserError(
            f"{file}: label {wrong} is out of range; {len(either)} different labels should be "
            f"0..{len(either) - 1}"
        )
    for part, labels in present.items():
        if labels != expected:
            absent = int(min(expected - labels))
            raise UserError(f"{file}: y_{part} has no example of class {absent}")
    return len(either)


def _images(images: np.ndarray, where: str) -> np.ndarray:
    """Images [N, H, W, C], uint8 or float32."""
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.dtype == np.uint8 or not images.size:
        return images
    if images.dtype.kind not in "iuf":
        raise UserError(f"{where}: pixels are {images.dtype}; they should be numbers")
    low, high = images.min(), images.max()
    if images.dtype.kind == "f":
        if not (low >= -_TOLERATED and high <= 1 + _TOLERATED):
            raise UserError(
                f"{where}: float pixels should be in [0, 1], but range from {low} to {high}: "
                "leave mean and deviation to the network"
            )
        return np.clip(images.astype(np.float32), 0.0, 1.0)
    if low < 0 or high > 255:
        raise UserError(f"{where}: integer pixels should be 0..255, but are {low}..{high}")
    return images.astype(np.uint8)
