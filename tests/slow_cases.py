"""Marks most cases of a table as slow: a few stay in every test run."""

from collections.abc import Iterable

import pytest


def slow_but(quick: Iterable, cases: Iterable) -> list:
    """Parameters for `pytest.mark.parametrize`.

    Args:
        quick: the cases that stay.
        cases: all of them; a tuple holds several arguments.
    """
    quick = list(quick)
    return [
        case
        if case in quick
        else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
        for case in cases
    ]
