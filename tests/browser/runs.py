"""A folder of runs for TensorBoard to show: a short training, and a study of fabricated figures."""

import csv
import json
import pathlib
import subprocess
import sys

from anchor_tf.studies import hyperparameters
from anchor_tf.studies.plan import Run
from anchor_tf.studies.results import Result
from tests.test_config import resolved

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLAGS = (
    "--method=pgd_at", "--backbone=small(width=4)", "--epochs=4", "--train_examples=400",
    "--attack_steps=2", "--attacks=fgsm,pgd(steps=5)", "--projector_every=2", "--profile=2",
)  # fmt: skip
STEPS = 3  # an epoch


def make(folder: pathlib.Path) -> pathlib.Path:
    """Trains FOLDER/run and writes FOLDER/study; returns the run's folder."""
    command = [sys.executable, "-m", "anchor_tf.train", *FLAGS, f"--workdir={folder / 'run'}"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    runs, results = [], {}
    for method in ("pgd_at", "trades(beta=6)"):
        for seed in (0, 1):
            workdir = folder / "study" / method.partition("(")[0] / f"seed_{seed}"
            workdir.mkdir(parents=True)
            accuracy = 0.5 + 0.1 * len(runs)
            report = {
                "norm": "linf",
                "epsilon": 0.05,
                "examples": 200,
                "clean": {"accuracy": 0.9},
                "attacks": {"pgd(steps=20)": {"accuracy": accuracy}},
                "worst_case": {"accuracy": accuracy},
                "training_seconds": 12.5,
            }
            (workdir / "report.json").write_text(json.dumps(report))
            config = resolved(method=method, seed=seed)
            runs.append(Run(method, "seed", seed, workdir, (), config))
            results.setdefault(method, []).append(Result(seed, workdir, report, epochs=4))
    assert len(hyperparameters.write(folder / "study", runs, results)) == 4
    return folder / "run"


def table(path: pathlib.Path) -> list[dict[str, str]]:
    """The rows of a file with tabs between its columns."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
