"""Takes the pictures of TensorBoard in docs/.

Usage: python -m tests.browser.screenshots RUNS DOCS
"""

import io
import pathlib
import sys
import tempfile
import time
import urllib.request

from PIL import Image

from tests.browser import chromium, pages, tensorboard_server
from tests.browser.chromium import Page

_TAGS = "^(robust_accuracy|loss|gradient_norm|attack_loss_rise|clean_accuracy|contrastive)$"


def main(runs: pathlib.Path, docs: pathlib.Path) -> None:
    """Opens the first of the runs in both pages."""
    with tensorboard_server.serving(runs) as address:

        def ask(route):
            with urllib.request.urlopen(f"{address}data/{route}") as answer:
                return answer.read()

        tensorboard_server.until_all_is_read(ask)
        for take in (projector, scalars):
            with (
                tempfile.TemporaryDirectory() as profile,
                chromium.opened(pathlib.Path(profile)) as page,
            ):
                take(page, address)
                _save(page.picture(), docs / f"{take.__name__}.png")


def projector(page: Page, address: str) -> None:
    """The points, coloured by label."""
    print(f"points after {pages.open_projector(page, address, seconds=60):.1f} s")
    pages.color_by(page, "label")
    time.sleep(5.0)


def scalars(page: Page, address: str) -> None:
    """Charts of training and validation side by side."""
    page.go(f"{address}?tagFilter={_TAGS}&runFilter=train/(training|validation)#timeseries")
    page.wait("document.querySelectorAll('scalar-card line-chart canvas').length > 1", 60.0)
    page.value("[...document.querySelectorAll('mat-icon[svgicon=close_24px]')].pop()?.click()")
    time.sleep(5.0)


def _save(picture: bytes, path: pathlib.Path) -> None:
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    # The octree keeps rare colours apart, those of the classes among them.
    small = image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(*map(pathlib.Path, sys.argv[1:]))
