"""Decodes images with Pillow, to the same pixels as `decode` does in a TensorFlow graph."""

import dataclasses
import os
import typing
import zlib

import numpy as np
from PIL import Image

from anchor_tf.images import rules

_TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_HEADER = 26  # bytes of a PNG up to its colour type


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """An image of which the header has been read.

    Attributes:
        stream: what it is read from.
        image: Pillow's; not decoded yet.
        orientation: 1 to 8, see `rules.orientation`.
        depth: bits of a channel, or of an index into a palette.
        grey: whether it has no colours.
    """

    stream: typing.BinaryIO
    image: Image.Image
    orientation: int
    depth: int
    grey: bool

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as it is to be seen."""
        return self.image.size[::-1] if self.orientation >= 5 else self.image.size


def opened(stream: typing.BinaryIO) -> Picture:
    """Reads the header of an image; raises whatever Pillow does for one that it cannot read."""
    header = stream.read(_HEADER)
    orientation = rules.orientation(stream)
    stream.seek(0)
    image = Image.open(stream, formats=("JPEG", "PNG"))
    if not header.startswith(rules.PNG):
        return Picture(stream, image, orientation, 8, image.mode == "L")
    if header[12:16] != b"IHDR":
        raise ValueError("its header does not come first")
    return Picture(stream, image, orientation, header[24], header[25] in rules.GREY_PNG)


def pixels(picture: Picture, mode: str) -> Image.Image:
    """Decodes an image; raises whatever Pillow does for one that is damaged.

    Args:
        picture: what `opened` returned, its stream still open.
        mode: "RGB" or "L".
    """
    image = picture.image
    if image.format == "PNG":
        _check_chunks(picture.stream)
    image.load()
    if image.mode not in ("L", "RGB") or image.has_transparency_data:
        colour, alpha = _colour_and_alpha(picture)
        image = _as_image(colour if alpha is None else rules.over_white(colour, alpha))
    if picture.orientation > 1:
        image = image.transpose(_TURNED[picture.orientation])
    if mode == "L" and image.mode == "RGB":
        return _as_image(rules.grey(np.asarray(image, np.int32)))
    return image.convert(mode)


def _check_chunks(stream: typing.BinaryIO) -> None:
    """Raises a ValueError where a chunk that matters is damaged: Pillow shows what it can."""
    place, kind = stream.tell(), b""
    stream.seek(len(rules.PNG))
    while kind != b"IEND":
        head = stream.read(8)
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind in _CRITICAL:
            content = stream.read(length)
            if stream.read(4) != zlib.crc32(kind + content).to_bytes(4, "big"):
                raise ValueError(f"the checksum of its chunk {kind.decode()} is wrong")
        elif kind[:1].islower():
            stream.seek(length + 4, os.SEEK_CUR)
        else:
            raise ValueError("it ends too early, or holds what is no chunk")
    stream.seek(place)


def _as_image(values: np.ndarray) -> Image.Image:
    """Of integers in 0..255, [H, W, 1] or [H, W, 3]."""
    values = values.astype(np.uint8)
    return Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values)


def _colour_and_alpha(picture: Picture) -> tuple[np.ndarray, np.ndarray | None]:
    """int32 [H, W, 1 or 3] and [H, W, 1] in 0..255, or None for an image without transparency."""
    image = picture.image
    if image.mode == "CMYK":
        return _without_ink(image), None
    if image.mode == "P":
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    values = np.asarray(image, np.int32)
    if image.mode in ("LA", "RGBA"):
        return values[..., :-1], values[..., -1:]
    if values.ndim == 2:
        values = values[..., np.newaxis]
    transparent = picture.image.info.get("transparency") if picture.image.mode != "P" else None
    alpha = None if transparent is None else _alpha_of_key(picture, values, transparent)
    return values // 256 if image.mode == "I;16" else values, alpha


def _alpha_of_key(picture: Picture, values: np.ndarray, key) -> np.ndarray:
    """Alpha where one colour, as the file writes it, is transparent: 0 there, 255 elsewhere."""
    most = 2**picture.depth - 1
    if picture.depth == 16 and picture.image.mode == "RGB":
        values = 256 * values + _lower_bytes(picture)
    if picture.depth > 1:  # of a bit Pillow has the key as it has the pixels
        key = np.asarray(key) & most
    if picture.depth < 8:
        key = key * (255 // most) if picture.depth > 1 else key
    return np.where((values == key).all(axis=-1, keepdims=True), 0, 255)


def _lower_bytes(picture: Picture) -> np.ndarray:
    """The lower halves of colours of 16 bits, which Pillow leaves out."""
    picture.stream.seek(0)
    image = Image.open(picture.stream, formats=("PNG",))
    # As if the bytes of each number stood in the other order: the upper one is then the lower.
    image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]
    return np.asarray(image, np.int32)


def _without_ink(image: Image.Image) -> np.ndarray:
    """RGB of CMYK, as TensorFlow has it: int32 [H, W, 3]."""
    values = np.asarray(image, np.int32)  # 255 is all ink, in Pillow's reading of Adobe's files
    if "adobe" in image.info:
        values = 255 - values
    return values[..., :3] * values[..., 3:] // 255
