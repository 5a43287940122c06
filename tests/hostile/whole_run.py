"""A short run with all phases, started, killed, and compared with another in everything it left."""

import csv
import hashlib
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time
import zipfile

import h5py
import numpy as np
import tensorflow as tf

from anchor_tf.checkpoints import checkpoint_file
from tests import event_values

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Both phases of fine-tuning, the evaluation in several batches, and a checkpoint every few steps.
FLAGS = (
    "--backbone=small(width=4)", "--train_examples=200", "--batch_size=40", "--epochs=6",
    "--finetune_epochs=3", "--attack_steps=3", "--ema_decay=0.9", "--select=best",
    "--attacks=pgd(steps=5),square(queries=200)", "--examples=200", "--checkpoint_steps=3",
    "--projector_every=2",
)  # fmt: skip
_CLOCK = ("seconds", "training_seconds", "versions", "created")
_CLOCK += ("model_digest",)  # model.keras holds its date


def start(workdir: pathlib.Path, largest_file: int | None = None) -> subprocess.Popen:
    """Starts the run in a folder, or lets it go on; files may be limited to so many bytes."""

    def limit():
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    return subprocess.Popen(
        [sys.executable, "-m", "anchor_tf.train", *FLAGS, f"--workdir={workdir}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=limit,
        env={**os.environ, "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"},
    )


def finish(workdir: pathlib.Path) -> str:
    """Lets the run reach its end; returns what it printed."""
    with start(workdir) as process:
        output, _ = process.communicate()
    assert process.returncode == 0, output[-2000:]
    return output


def kill_after(workdir: pathlib.Path, seconds: float) -> bool:
    """Kills the run after so many seconds, unless it has ended by then; whether it was killed."""
    with start(workdir) as process:
        deadline = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    return process.returncode == -signal.SIGKILL


def left_by(workdir: pathlib.Path) -> dict[str, object]:
    """All that a finished run has left, but for what depends on the clock or the folder."""
    left = {"files": sorted(_files(workdir))}
    for name in ("model.keras", "last.keras"):
        left[name] = _weights(workdir / name)
    for path in sorted((workdir / "checkpoints").rglob("*.npz")):
        arrays, facts = checkpoint_file.read(path)
        facts.pop("seconds", None)
        left[str(path.relative_to(workdir))] = (_digest(arrays), facts)
    with np.load(workdir / "outcomes.npz") as outcomes:
        left["outcomes"] = _digest([outcomes[name] for name in sorted(outcomes)])
    report = (workdir / "report.json").read_text().replace(str(workdir), "WORKDIR")
    left["report"] = _timeless(json.loads(report))
    with open(workdir / "history.csv", newline="") as file:
        left["history"] = [_timeless(row) for row in csv.DictReader(file)]
    left["events"] = event_values.read(workdir / "logs")
    for path in sorted((workdir / "logs" / "projector").rglob("*")):
        if path.is_file():
            left[str(path.relative_to(workdir))] = hashlib.sha256(path.read_bytes()).hexdigest()
    left["export"] = _exported(workdir / "export" / "1" / "variables" / "variables")
    return left


def _files(workdir: pathlib.Path):
    for path in workdir.rglob("*"):
        if path.is_file() and "tfevents" not in path.name:
            yield str(path.relative_to(workdir))


def _weights(path: pathlib.Path) -> str:
    found = []

    def take(name, item):
        if hasattr(item, "shape"):
            found.append(item[()])

    with (
        zipfile.ZipFile(path) as archive,
        archive.open("model.weights.h5") as member,
        h5py.File(member) as weights,
    ):
        weights.visititems(take)
    return _digest(found)


def _exported(variables: pathlib.Path) -> list[str]:
    """A digest of each variable, sorted, as a continued run may number their names otherwise."""
    reader = tf.train.load_checkpoint(str(variables))
    numbers = [n for n, dtype in reader.get_variable_to_dtype_map().items() if dtype != tf.string]
    return sorted(_digest([reader.get_tensor(name)]) for name in numbers)


def _digest(arrays) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(
            f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes()
        )
    return digest.hexdigest()


def _timeless(content):
    if isinstance(content, dict):
        return {k: _timeless(v) for k, v in content.items() if k not in _CLOCK}
    return [_timeless(item) for item in content] if isinstance(content, list) else content
