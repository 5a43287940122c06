"""How far float32 may lead the same training apart."""

import numpy as np

UNIT = 2.0**-23  # float32's, relative
UNITS_A_STEP = 16


def rounding(steps: int, values: np.ndarray) -> float:
    """The largest difference that a processor's or a sum's other order may make.

    Each step rounds sums of many terms and hands the result on: that is counted as some units in
    the last place of the largest value, or of 1 where all are smaller: of losses and gradients,
    which are of that size.

    Args:
        steps: training steps taken.
        values: one variable's, or losses.
    """
    return steps * UNITS_A_STEP * UNIT * max(1.0, float(np.abs(values).max(initial=0.0)))
