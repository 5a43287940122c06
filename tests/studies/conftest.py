"""Fabricated runs: what a finished run leaves, with figures that are known."""

import json

import numpy as np
import pytest

from anchor_tf.studies.results import Result

HISTORY = """phase,epoch,step,seconds,learning_rate,loss,validation_clean,validation_robust
train,1,10,2.0,0.1,2.3,,
train,2,20,1.0,0.1,2.0,0.5,0.{seed}
train,3,30,1.5,0.1,1.8,,
finetune,1,10,0.5,0.01,1.0,0.7,0.4
"""


@pytest.fixture
def fabricate(tmp_path):
    """Makes a finished run of which the worst-case outcomes are given, bool [N]."""

    def made(method, number, worst_case, *, indices=None, outcomes=True, **facts):
        folder = tmp_path / method / f"seed_{number}"
        folder.mkdir(parents=True)
        worst_case = np.asarray(worst_case, bool)
        indices = np.arange(len(worst_case)) if indices is None else indices
        robust = float(worst_case.mean())
        report = {
            "norm": "linf",
            "epsilon": 0.1,
            "split": "test",
            "examples": len(worst_case),
            "clean": {"accuracy": 0.9 + 0.01 * number},
            "attacks": {
                "fgsm": {"accuracy": robust, "seconds": 1.0},
                "pgd(steps=20)": {"accuracy": robust, "seconds": 3.0},
            },
            "worst_case": {"accuracy": robust},
            "curve": {"attack": "pgd(steps=20)", "points": [[0.0, 0.9], [0.1, robust]]},
            "machine": {"processor": "a processor", "cores": 2, "threads": 1, "gpus": []},
            **facts,
        }
        (folder / "report.json").write_text(json.dumps(report))
        (folder / "history.csv").write_text(HISTORY.format(seed=number + 1))
        if outcomes:
            labels = np.asarray(indices) % 10
            arrays = {"labels": labels, "indices": indices, "worst_case": worst_case}
            np.savez(folder / "outcomes.npz", **arrays)
        return Result(number, folder, report, epochs=3)

    return made
