"""Images in folders: PATH/train/CLASS/* and PATH/test/CLASS/*."""

import concurrent.futures
import contextlib
import dataclasses
import math
import os
import pathlib
import sys
import warnings
from collections.abc import Iterator
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from anchor_tf import choices
from anchor_tf.errors import UserError
from anchor_tf.files import archives
from anchor_tf.images import encoded_image, rules
from anchor_tf.pipelines import class_folders
from anchor_tf.pipelines.class_folders import shown
from anchor_tf.pipelines.data import ImageData, Split, recipe_for
from anchor_tf.pipelines.splits import hold_out_validation

_FILES_A_TASK = 256
_PIXELS_WORTH_A_THREAD = 256 * 256

# What Pillow warns of is either refused here or of no consequence.
warnings.filterwarnings("ignore", module="PIL")


def folder(
    *,
    path: str,
    image_size: int | None = None,
    damaged: Literal["refuse", "skip"] = "refuse",
) -> ImageData:
    """Reads JPEG and PNG images whose folders say their split and class.

    Images may lie deeper: PATH/train/CLASS/camera/1.png. Classes are numbered in the order of their
    names, sorted as text; two folders whose names differ in nothing but how Unicode composes
    letters (NFC, NFD) are one class, with the composed name. Transparent pixels are laid over
    white, and Exif orientations applied (see `images.rules`). The images are RGB, or grey if all
    those for training are. Hidden files and folders are ignored. What is left out besides, for its
    ending or because it lies in no class, is counted in the data set's warnings.

    Args:
        path: the folder that holds train/ and test/.
        image_size: if given, every image is resized to so many pixels in height and in width
            (bilinear, antialiased); if not, all must be of one size.
        damaged: what to do with a file that holds no image, a damaged one or one of more than
            2**25 pixels: refuse the data set, or skip the file. Those skipped are named on stderr
            and counted in a warning. Of 16 bits the upper 8 are taken.

    Raises:
        UserError: a folder is missing or empty, the two splits differ in their classes, or an
            image cannot be read or is of another size than the rest.
    """
    if image_size is not None and image_size < 1:
        raise UserError(f"folder: image_size={image_size} should be at least 1")
    choices.check("damaged", damaged, ("refuse", "skip"), "folder")
    root = pathlib.Path(path).expanduser()
    train_part, test_part = (class_folders.read(root / part) for part in ("train", "test"))
    train_files, test_files = train_part.files, test_part.files
    odd = sorted(train_files.keys() ^ test_files.keys())
    if odd:
        part = "train" if odd[0] in train_files else "test"
        raise UserError(f"{root}: class {odd[0]} is in {part}/ only")
    skip = damaged == "skip"
    first = _first_size(train_files, skip)
    size = (image_size, image_size) if image_size else first
    reading = _Reading(size, image_size is not None, skip, _workers(first))
    train, all_grey, train_skipped = _read(train_files, reading, "RGB")
    if all_grey:
        train = Split(np.ascontiguousarray(train.images[..., :1]), train.labels)
    test, _, test_skipped = _read(test_files, reading, "L" if all_grey else "RGB")
    data = hold_out_validation(
        name=root.resolve().name,
        train=train,
        test=test,
        class_names=tuple(train_files),
        recipe=recipe_for(train.images.shape[1:]),
    )
    told = [*train_part.warnings, *test_part.warnings]
    told += class_folders.other_splits(root, train_files)
    counts = ((root / "train", train_skipped), (root / "test", test_skipped))
    told += [f"{shown(part)}: {count} images are skipped" for part, count in counts if count]
    return dataclasses.replace(data, left_out=tuple(told))


@dataclasses.dataclass(frozen=True)
class _Reading:
    """How images are read.

    Attributes:
        size: (width, height) of all of them.
        resize: whether to bring images to that size, rather than refuse those of another.
        skip: whether to leave out those that cannot be read.
        threads: how many to decode with.
    """

    size: tuple[int, int]
    resize: bool
    skip: bool
    threads: int


def _read(
    files: dict[str, list[pathlib.Path]], reading: _Reading, mode: str
) -> tuple[Split, bool, int]:
    """Decodes every file; also says whether all of them are grey, and how many were skipped.

    Args:
        files: class name -> its files.
        reading: how.
        mode: Pillow mode, "RGB" or "L".
    """
    flat = [file for of_class in files.values() for file in of_class]
    labels = np.repeat(np.arange(len(files), dtype=np.int32), [len(f) for f in files.values()])
    shape = (len(flat), *reading.size[::-1], len(mode))
    archives.check_memory("the images take (see folder's image_size=)", math.prod(shape))
    images = np.empty(shape, np.uint8)
    skipped = {}

    def decode(start: int) -> bool:
        grey = True
        for row in range(start, min(start + _FILES_A_TASK, len(flat))):
            try:
                pixels, is_grey = _decoded(flat[row], reading, mode)
            except _UnreadableError as error:
                if not reading.skip:
                    raise
                skipped[row] = str(error)
                continue
            grey = grey and is_grey
            images[row] = np.asarray(pixels).reshape(images.shape[1:])
        return grey

    with concurrent.futures.ThreadPoolExecutor(reading.threads) as pool:
        all_grey = all(list(pool.map(decode, range(0, len(flat), _FILES_A_TASK))))
    if skipped:
        _tell(skipped, len(flat))
        rows = np.delete(np.arange(len(flat)), list(skipped))
        images, labels = images[rows], labels[rows]
    for label, of_class in enumerate(files.values()):
        if label not in labels:
            raise UserError(f"{of_class[0].parent}: none of its images can be read")
    return Split(images, labels), all_grey, len(skipped)


class _UnreadableError(UserError):
    """A file that holds no image which can be used."""


def _tell(skipped: dict[int, str], total: int) -> None:
    for row in sorted(skipped):
        print(f"skipped: {skipped[row]}", file=sys.stderr)
    print(f"skipped {len(skipped)} of {total} images", file=sys.stderr, flush=True)


def _first_size(files: dict[str, list[pathlib.Path]], skip: bool) -> tuple[int, int]:
    """(width, height) of the first image that can be read."""
    for file in (file for of_class in files.values() for file in of_class):
        try:
            with _opened(file) as picture:
                return picture.size
        except _UnreadableError:
            if not skip:
                raise
    raise UserError("none of the images for training can be read")


def _workers(size: tuple[int, int]) -> int:
    """How many threads to decode with, going by the size of one image."""
    # Small images are decoded faster than threads can hand Python's global lock to each other.
    small = size[0] * size[1] < _PIXELS_WORTH_A_THREAD
    return 1 if small else min(os.cpu_count() or 1, 8)


def _decoded(file: pathlib.Path, reading: _Reading, mode: str) -> tuple[Image.Image, bool]:
    """The pixels of a file in `mode`, and whether it is grey itself."""
    with _opened(file) as picture:
        if not reading.resize and picture.size != reading.size:
            width, height = reading.size
            raise UserError(
                f"{shown(file)} is {picture.size[0]}x{picture.size[1]} pixels, others are "
                f"{width}x{height}: make them equal or give folder(image_size=...)"
            )
        try:
            pixels = encoded_image.pixels(picture, mode)
        except Exception as error:  # what damaged images raise is not limited to any kinds
            what = archives.reason(error)
            raise _UnreadableError(f"{shown(file)} is damaged: {what}") from error
        return pixels.resize(reading.size, Image.Resampling.BILINEAR), picture.grey


@contextlib.contextmanager
def _opened(file: pathlib.Path) -> Iterator[encoded_image.Picture]:
    """Reads the header of an image and leaves its pixels for later."""
    if not file.is_file():  # a pipe would be waited for without end
        raise _UnreadableError(f"{shown(file)} cannot be read: it is no file")
    with contextlib.ExitStack() as stack:
        try:
            picture = encoded_image.opened(stack.enter_context(file.open("rb")))
        except Image.DecompressionBombError as error:
            raise _UnreadableError(f"{shown(file)}: the image is too large: {error}") from error
        except Exception as error:  # as above
            unknown = isinstance(error, UnidentifiedImageError)  # whose message names no file
            what = "it is neither" if unknown else archives.reason(error)
            raise _UnreadableError(
                f"{shown(file)} cannot be read as a JPEG or PNG image: {what}"
            ) from error
        width, height = picture.size
        if width * height > rules.LARGEST:
            raise _UnreadableError(
                f"{shown(file)}: the image is too large: {width}x{height} pixels"
            )
        yield picture
