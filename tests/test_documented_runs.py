"""The commands of the documents that take under five minutes, run one after the other."""

import os
import subprocess
import sys

import pytest

from tests.test_documents import ROOT, commands

# What the others need: data that does not ship, many runs, or more than five minutes.
_QUICK = {
    "train": lambda arguments: arguments == ["--method=anchor"],
    "evaluate": lambda arguments: "--workdir=runs/anchor_digits" in arguments,
    "export": lambda arguments: True,
    "benchmark": lambda arguments: "--backbones=small" in arguments,
}


@pytest.mark.slow
def test_the_quick_ones_do_what_they_say(tmp_path):
    ran = []
    for main, arguments in commands():
        if main not in _QUICK or not _QUICK[main](arguments):
            continue
        here = ["--workdir=runs/anchor_digits" if a == "--workdir=run" else a for a in arguments]
        run = subprocess.run(
            [sys.executable, "-m", f"anchor_tf.{main}", *here],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=1800,  # five minutes here; a busy machine may take longer
        )
        assert run.returncode == 0, f"{main} {arguments}: {run.stderr[-500:]}"
        ran.append(main)
    assert set(ran) == set(_QUICK)
    for name in ("export/1/saved_model.pb", "model.tflite", "report.html", "reports/0.json"):
        assert (tmp_path / "runs" / "anchor_digits" / name).exists()
