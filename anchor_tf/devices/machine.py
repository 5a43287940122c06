"""What figures were made on: processor, cores, threads and GPUs."""

import collections
import os
import pathlib
import platform
from typing import Any

from anchor_tf.devices import onednn


def describe() -> dict[str, Any]:
    """The machine of this process.

    Returns:
        "processor", its name; "cores", how many this process may use; "threads", how many
        TensorFlow uses for one operation; "gpus", their names; "tensor_float_32", whether GPUs
        that can do so multiply float32 with 10 bits of mantissa; and `onednn.describe()`.
    """
    import tensorflow as tf  # here: a benchmark names the processor before it sets the threads

    options = tf.config.experimental
    gpus = tf.config.list_physical_devices("GPU")
    cores = len(os.sched_getaffinity(0))
    return {
        "processor": processor(),
        "cores": cores,
        "threads": _threads() or cores,
        "gpus": [options.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus],
        "tensor_float_32": bool(gpus) and options.tensor_float_32_execution_enabled(),
        **onednn.describe(),
    }


def name() -> str:
    """What computes, for people: the GPUs, or the processor where there are none."""
    facts = describe()
    counted = collections.Counter(facts["gpus"]).items()
    return ", ".join(f"{count} x {gpu}" for gpu, count in counted) or facts["processor"]


def _threads() -> int:
    """What the environment sets; 0 if nothing."""
    try:
        return int(os.environ.get("TF_NUM_INTRAOP_THREADS", "0"))
    except ValueError:
        return 0


def processor() -> str:
    """The processor's name, where Linux tells it."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()
