"""What a person sees on TensorBoard's pages."""

import colorsys
import io
import time

import numpy as np
from PIL import Image

from tests.browser.chromium import Page

# Polymer and Angular nest their elements in shadow roots and frames.
_FIND = """
window.find = (name, root = document) => {
  for (const element of root.querySelectorAll('*')) {
    if (element.localName === name) return element;
    for (const inner of [element.shadowRoot, element.contentDocument]) {
      const found = inner && find(name, inner);
      if (found) return found;
    }
  }
  return null;
}, true"""
_PLACE = """(() => {
  const box = find('vz-projector').shadowRoot.querySelector('#scatter').getBoundingClientRect();
  let [x, y] = [box.x, box.y];
  for (let frame = find('vz-projector').ownerDocument.defaultView.frameElement; frame;
       frame = frame.ownerDocument.defaultView.frameElement) {
    const outer = frame.getBoundingClientRect();
    x += outer.x; y += outer.y;
  }
  return [x, y, x + box.width, y + box.height];
})()"""


def open_projector(page: Page, address: str, seconds: float) -> float:
    """Opens the projector and waits until thumbnails are drawn.

    Args:
        page: of a browser.
        address: TensorBoard's.
        seconds: how long at most.

    Returns:
        How long it took.

    Raises:
        TimeoutError: there are none.
    """
    began = time.monotonic()
    page.go(f"{address}#projector")
    page.wait(f"({_FIND}) && find('vz-projector').dataSet.projections['pca-0'] === true", seconds)
    while time.monotonic() - began < seconds:
        if (cloud(page).max(axis=2) < 60).mean() > 0.02:  # they are dark, the page is white
            return time.monotonic() - began
    raise TimeoutError(f"no thumbnails after {seconds} s")


def points(page: Page) -> int:
    """How many points the projector has."""
    return page.value("find('vz-projector').dataSet.points.length")


def color_by(page: Page, column: str) -> None:
    """Chooses a column of the metadata under "Color by"."""
    page.value(f"find('vz-projector-data-panel').selectedColorOptionName = {column!r}, true")


def cloud(page: Page) -> np.ndarray:
    """The part of the page that holds the points, uint8 [H, W, 3]."""
    box = page.value(_PLACE)
    picture = Image.open(io.BytesIO(page.picture())).convert("RGB").crop(tuple(map(round, box)))
    return np.asarray(picture)


def hues(picture: np.ndarray) -> set[int]:
    """Twelfths of the colour circle that colour many pixels."""
    small = picture[::2, ::2].reshape(-1, 3) / 255.0
    vivid = small[(small.max(axis=1) > 0.4) & (np.ptp(small, axis=1) > 0.3)]
    twelfths = [int(12 * colorsys.rgb_to_hsv(*pixel)[0]) % 12 for pixel in vivid]
    return {hue for hue in range(12) if twelfths.count(hue) > 20}


def chart(page: Page, address: str, tag: str, seconds: float) -> dict[str, float]:
    """Opens the page of time series at a tag and waits for its chart.

    Args:
        page: of a browser.
        address: TensorBoard's.
        tag: of a scalar.
        seconds: how long to wait at most.

    Returns:
        Run -> the last step that the chart shows of it.
    """
    page.go(f"{address}?tagFilter=^{tag}$&smoothing=0#timeseries")
    page.wait("document.querySelector('scalar-card tb-data-table-content-row') !== null", seconds)
    page.wait("document.querySelector('scalar-card line-chart canvas') !== null", seconds)
    rows = page.value(
        "[...document.querySelectorAll('scalar-card tb-data-table-content-row')]"
        ".map(row => [...row.querySelectorAll('tb-data-table-content-cell')]"
        ".map(cell => cell.innerText.trim()).filter(text => text))"
    )
    return {run: float(step) for run, _, step, *_ in rows}
