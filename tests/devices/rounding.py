"""How far float32 may lead the same training apart."""

import numpy as np

UNIT = 2.0**-23  # float32's, relative
UNITS_A_STEP = 16


def rounding(steps: int, values: np.ndarray | float = 1.0) -> float:
    """The largest difference that a processor's or a sum's other order may make.

    Each step rounds sums of many terms and hands the result on. That counts as some units in the
    last place of the largest value, or of 1 where all are smaller: losses and gradients, which
    bring the rounding in, are of that size. Three processors' paths differ by 0.4 to 2.5 units a
    step; a wrong share of a gradient makes a thousand times as much.

    Args:
        steps: training steps taken.
        values: one variable's, or losses.
    """
    largest = np.abs(np.asarray(values, float)).max(initial=1.0)
    return float(steps * UNITS_A_STEP * UNIT * largest)
