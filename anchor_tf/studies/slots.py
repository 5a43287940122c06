"""Where the runs of a study go that are at work at the same time: cores and GPUs for each."""

import os
import pathlib
import shutil
import subprocess
from collections.abc import Mapping

_DRIVER = pathlib.Path(
    "/proc/driver/nvidia/gpus"
)  # a folder for each GPU; containers may lack more


def environments(jobs: int, base: Mapping[str, str] | None = None) -> list[dict[str, str]]:
    """Environments for so many runs at once, which share out cores and GPUs evenly.

    A single one gets the base as it is. Threads that the base sets stay as they are set. GPUs that
    cannot be shared out evenly stay idle: on unequal numbers of them runs would not compare.

    Args:
        jobs: how many runs are at work at the same time, at least 1.
        base: the environment to start from; this process's by default.
    """
    base = dict(os.environ if base is None else base)
    if jobs == 1:
        return [base]
    threads = str(max(1, len(os.sched_getaffinity(0)) // jobs))
    shared = {"TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads, **base}
    gpus = _gpus(base)
    if not gpus:
        return [shared] * jobs
    if len(gpus) < jobs:
        # Several runs on one GPU: none may take all of its memory.
        shared["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    each = max(1, len(gpus) // jobs)
    shares = [(gpus[job::jobs] or [gpus[job % len(gpus)]])[:each] for job in range(jobs)]
    return [{**shared, "CUDA_VISIBLE_DEVICES": ",".join(share)} for share in shares]


def _gpus(base: Mapping[str, str]) -> list[str]:
    """GPUs that a run may use, by index or name; this process leaves them untouched."""
    visible = base.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        listed = [gpu.strip() for gpu in visible.split(",")]
        return [gpu for gpu in listed if gpu not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return [str(index) for index, _ in enumerate(_DRIVER.glob("*"))]
    listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    names = [line for line in listing.stdout.splitlines() if line.startswith("GPU ")]
    return [str(index) for index in range(len(names))]
