"""Images side by side in one: thumbnails for sprites, rows of examples for a look at training."""

import numpy as np
from PIL import Image


def thumbnails(images: np.ndarray, largest: int) -> np.ndarray:
    """RGB copies whose longer side is at most `largest` pixels.

    Large images are averaged down, small ones enlarged by a whole factor, their pixels kept.

    Args:
        images: uint8, or floats in [0, 1]; [N, H, W, 1 or 3].
        largest: pixels.

    Returns:
        uint8 [N, h, w, 3].
    """
    if images.dtype != np.uint8:
        images = np.rint(255.0 * np.clip(images, 0.0, 1.0)).astype(np.uint8)
    images = np.broadcast_to(images, (*images.shape[:3], 3))
    height, width = images.shape[1:3]
    factor = largest // max(height, width)
    if factor >= 1:
        return images.repeat(factor, axis=1).repeat(factor, axis=2)
    scale = largest / max(height, width)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    small = [
        np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX)) for image in images
    ]
    return np.stack(small)


def mosaic(tiles: np.ndarray, columns: int, gap: int = 0) -> np.ndarray:
    """Tiles row by row in one image, black where the last row is not full.

    Args:
        tiles: uint8 [N, h, w, 3].
        columns: tiles in a row.
        gap: black pixels after each tile.

    Returns:
        uint8 [rows (h + gap), columns (w + gap), 3].
    """
    rows = -(-len(tiles) // columns)
    tiles = np.pad(tiles, [(0, rows * columns - len(tiles)), (0, gap), (0, gap), (0, 0)])
    height, width = tiles.shape[1:3]
    grid = tiles.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    return grid.reshape(rows * height, columns * width, 3)
