"""Trains phases on one device and on two, stopped and continued; a process of its own.

Usage: python -m tests.devices.stopped_phases FOLDER
FOLDER/CASE_RUN.npz then holds all that a checkpoint would, and RUN's folder history.csv. The runs
are "whole", on one device; "moved", on one, on two, and on one again; "two", on two; and
"two_stopped", likewise, but stopped in an epoch.
"""

import dataclasses
import pathlib
import sys

import numpy as np

from anchor_tf.terminal import command_line

CASES = {
    "plain": ("ce", {}),
    "contrastive": ("supcon", {}),
    "extras": ("ce", {"average_decay": 0.9, "weight_perturbation": 0.01, "clip_norm": 1.0}),
}
ON_TWO = ("contrastive",)  # cases that are stopped and continued on two devices as well


def main(folder):
    command_line.import_tensorflow(2)
    from anchor_tf.devices import distribution
    from tests.training.test_one_phase import few_digits

    one, two = distribution.place("one").strategy, distribution.place("auto", 2).strategy
    data = few_digits()
    for name in CASES:
        runs = {"whole": [(one, None)], "moved": [(one, 6), (two, 11), (one, None)]}
        if name in ON_TWO:
            runs |= {"two": [(two, None)], "two_stopped": [(two, 6), (two, None)]}
        for run, parts in runs.items():
            take(data, folder / f"{name}_{run}", name, parts)


def take(data, workdir, name, parts):
    """Trains in parts: a strategy and the step at which a signal ends it, the last one's None."""
    from anchor_tf import specs
    from tests.training.test_one_phase import CONFIG, train

    spec, options = CASES[name]
    checked = specs.check(specs.parse(spec), "anchor_tf.methods", "method")
    kind = specs.load(checked, "anchor_tf.methods")
    for strategy, signal_at in parts:
        method = train(
            data,
            workdir,
            signal_at=signal_at,
            config=dataclasses.replace(CONFIG, validate_every=4),
            strategy=strategy,
            kind=kind,
            **options,
        )
    np.savez(workdir.with_suffix(".npz"), *map(np.asarray, method.resumable))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
