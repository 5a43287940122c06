"""Peak memory: of the first GPU, or of this process where there is none."""

import pathlib

import tensorflow as tf

_STATUS = pathlib.Path("/proc/self/status")
_RESET = pathlib.Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def reset_peak() -> int:
    """Lets the peak begin anew from what is held now; returns that, in bytes."""
    if tf.config.list_physical_devices("GPU"):
        tf.config.experimental.reset_memory_stats("GPU:0")
        return tf.config.experimental.get_memory_info("GPU:0")["current"]
    try:
        _RESET.write_text(_RESET_PEAK)
    except OSError:
        return peak()  # not Linux, or not allowed: later peaks are told from the highest so far
    return _kilobytes("VmRSS") * 1024


def peak() -> int:
    """The largest amount held since `reset_peak`, or since the process began; in bytes."""
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return _kilobytes("VmHWM") * 1024


def _kilobytes(field: str) -> int:
    """A line of the kernel's account of this process; 0 where there is none."""
    if not _STATUS.exists():
        return 0
    lines = _STATUS.read_text(encoding="utf-8").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), 0)
