"""Images in folders: PATH/train/CLASS/* and PATH/test/CLASS/*."""

import concurrent.futures
import os
import pathlib
import struct

import numpy as np
from PIL import Image

from anchor_tf.errors import UserError
from pipelines.data import ImageData, Split, recipe_for
from pipelines.splits import hold_out_validation

_ENDINGS = (".jpg", ".jpeg", ".png")
_FILES_A_TASK = 256
_PIXELS_WORTH_A_THREAD = 256 * 256
_GREY_MODES = ("1", "L", "LA")
_MODES = (*_GREY_MODES, "P", "PA", "RGB", "RGBA", "CMYK")


def folder(*, path: str, image_size: int | None = None) -> ImageData:
    """Reads JPEG and PNG images whose folders say their split and class.

    Classes are numbered in the order of their names, sorted as text. Transparent pixels are laid
    over white. The images are RGB, or grey if all those for training are. Hidden files and files
    with other endings are ignored.

    Args:
        path: the folder that holds train/ and test/.
        image_size: if given, every image is resized to so many pixels in height and in width
            (bilinear, antialiased); if not, all must be of one size.

    Raises:
        UserError: a folder is missing or empty, the two splits differ in their classes, or an
            image cannot be read or is of another size than the rest.
    """
    if image_size is not None and image_size < 1:
        raise UserError(f"folder: image_size={image_size} should be at least 1")
    root = pathlib.Path(path).expanduser()
    train_files, test_files = (_files_of_classes(root / part) for part in ("train", "test"))
    odd = sorted(train_files.keys() ^ test_files.keys())
    if odd:
        part = "train" if odd[0] in train_files else "test"
        raise UserError(f"{root}: class {odd[0]} is in {part}/ only")
    first = next(iter(train_files.values()))[0]
    with _open(first) as image:
        size = (image_size, image_size) if image_size else image.size
    resize = image_size is not None
    train, all_grey = _read(train_files, size, resize, "RGB")
    if all_grey:
        train = Split(np.ascontiguousarray(train.images[..., :1]), train.labels)
    test, _ = _read(test_files, size, resize, "L" if all_grey else "RGB")
    return hold_out_validation(
        name=root.resolve().name,
        train=train,
        test=test,
        class_names=tuple(train_files),
        recipe=recipe_for(train.images.shape[1:]),
    )


def _files_of_classes(part: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    """Class name -> its image files; both in order."""
    if not part.is_dir():
        raise UserError(f"{part}: no such folder; images should be in {part}/CLASS/")
    classes = sorted(f.name for f in part.iterdir() if f.is_dir() and not f.name.startswith("."))
    if len(classes) < 2:
        raise UserError(f"{part} has {len(classes)} class folders; two at least are needed")
    files = {}
    for name in classes:
        names = sorted(os.listdir(part / name))
        files[name] = [
            part / name / file
            for file in names
            if file.lower().endswith(_ENDINGS) and not file.startswith(".")
        ]
        if not files[name]:
            raise UserError(f"{part / name} holds no {', '.join(_ENDINGS)} files")
    return files


def _read(
    files: dict[str, list[pathlib.Path]], size: tuple[int, int], resize: bool, mode: str
) -> tuple[Split, bool]:
    """Decodes every file; also says whether all of them are grey.

    Args:
        files: class name -> its files.
        size: (width, height) of all images.
        resize: whether to bring images to that size, rather than refuse those of another.
        mode: Pillow mode, "RGB" or "L".
    """
    flat = [file for of_class in files.values() for file in of_class]
    labels = np.repeat(np.arange(len(files), dtype=np.int32), [len(f) for f in files.values()])
    width, height = size
    images = np.empty((len(flat), height, width, len(mode)), np.uint8)

    def decode(start: int) -> bool:
        grey = True
        for row in range(start, min(start + _FILES_A_TASK, len(flat))):
            with _open(flat[row]) as image:
                if not resize and image.size != size:
                    raise UserError(
                        f"{flat[row]} is {image.size[0]}x{image.size[1]} pixels, others are "
                        f"{width}x{height}: make them equal or give folder(image_size=...)"
                    )
                grey = grey and image.mode in _GREY_MODES
                pixels = _pixels(image, flat[row], mode).resize(size, Image.Resampling.BILINEAR)
            images[row] = np.asarray(pixels).reshape(images.shape[1:])
        return grey

    with concurrent.futures.ThreadPoolExecutor(_workers(flat[0])) as pool:
        all_grey = all(list(pool.map(decode, range(0, len(flat), _FILES_A_TASK))))
    return Split(images, labels), all_grey


def _workers(file: pathlib.Path) -> int:
    """How many threads to decode with, going by the size of one image."""
    with _open(file) as image:
        pixels = image.size[0] * image.size[1]
    # Small images are decoded faster than threads can hand Python's global lock to each other.
    return 1 if pixels < _PIXELS_WORTH_A_THREAD else min(os.cpu_count() or 1, 8)


def _open(file: pathlib.Path) -> Image.Image:
    """Reads the header of an image and leaves its pixels for later."""
    try:
        return Image.open(file, formats=("JPEG", "PNG"))
    except Image.DecompressionBombError as error:
        raise UserError(f"{file}: the image is too large: {error}") from error
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        raise UserError(f"{file} cannot be read as a JPEG or PNG image: {error}") from error


def _pixels(image: Image.Image, file: pathlib.Path, mode: str) -> Image.Image:
    """Decodes an opened image and converts it to `mode`."""
    if image.mode not in _MODES:
        raise UserError(f"{file} has pixels of mode {image.mode}: convert it to 8 bits a channel")
    try:
        image.load()
        if image.has_transparency_data:
            white = Image.new("RGBA", image.size, "white")
            return Image.alpha_composite(white, image.convert("RGBA")).convert(mode)
        return image.convert(mode)
    except (OSError, EOFError, SyntaxError, ValueError, struct.error) as error:
        raise UserError(f"{file} is damaged: {error}") from error
