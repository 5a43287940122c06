"""Contenders that take turns, and the machine on which they do."""

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import time
from collections.abc import Callable

from anchor_tf.devices.machine import processor


def _size(text: str) -> tuple[int, int]:
    width, batch_size = text.split(":")
    return int(width), int(batch_size)


# Of a flag that takes networks' widths, each with a batch size.
SIZES = {"type": _size, "nargs": "*", "metavar": "WIDTH:BATCH"}
PACKAGES = ("tensorflow", "keras", "torch", "torchattacks", "adversarial-robustness-toolbox")


def parser(description: str) -> argparse.ArgumentParser:
    """The command line that the comparisons share; the first line of `description` describes it."""
    made = argparse.ArgumentParser(description=description.splitlines()[0])
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--threads", type=int, default=2, help="of each framework")
    made.add_argument("--out", type=pathlib.Path, help="file for the JSON")
    return made


def keep(result: dict, path: pathlib.Path | None) -> None:
    """Prints the figures as JSON and writes them to a file, if there is one."""
    text = json.dumps(result, indent=1)
    print(text)
    if path is not None:
        path.write_text(text + "\n", encoding="utf-8")


def machine(threads: int) -> dict:
    """What the figures were taken on."""
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": threads,
        "load_before": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def timed(contenders: dict[str, Callable], rounds: int) -> dict[str, dict]:
    """Times the contenders in turn, after each has run once.

    Returns:
        For each its median seconds, the median over the rounds of its time over that of the first,
        and the range of those ratios.
    """
    for run in contenders.values():
        run()
    seconds = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    first = next(iter(seconds.values()))
    figures = {}
    for name, times in seconds.items():
        ratios = sorted(one / base for one, base in zip(times, first, strict=True))
        figures[name] = {
            "seconds": statistics.median(times),
            "ratio": statistics.median(ratios),
            "ratio_range": [ratios[0], ratios[-1]],
        }
    return figures


def print_table(title: str, figures: dict[str, dict]) -> None:
    """Prints the figures of one case; a ratio above 1 is slower than ours."""
    attacks = all("standing" in row for row in figures.values())
    print(title)
    print(f"{'':<38}{'seconds':>9}{'ratio':>8}{'range':>15}" + "  standing %" * attacks)
    for name, row in figures.items():
        low, high = row["ratio_range"]
        standing = f"{100 * row['standing']:>12.1f}" if attacks else ""
        print(
            f"{name:<38}{row['seconds']:>9.3f}{row['ratio']:>8.3f}{low:>8.2f}-{high:<6.2f}{standing}"
        )
    print(flush=True)
