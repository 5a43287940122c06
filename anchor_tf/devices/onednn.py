"""oneDNN, TensorFlow's fast kernels for processors: switched on, and what they find here.

TensorFlow switches them on by itself only where it sees AVX-512 VNNI, AMX and the like. Nothing
here imports TensorFlow, and `import anchor_tf` imports this.
"""

import os
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

SWITCH = "TF_ENABLE_ONEDNN_OPTS"
LIMIT = "ONEDNN_MAX_CPU_ISA"
_OFF = ("0", "false")
_CPUINFO = pathlib.Path("/proc/cpuinfo")
_NVIDIA_DRIVER = pathlib.Path("/proc/driver/nvidia/version")
# Instruction sets, the oldest first, each with the flags that Linux lists for it ...
_FLAGS = {
    "AVX2": {"avx2"},
    "AVX512": {"avx512f"},
    "AVX512_BF16": {"avx512_bf16"},
    "AMX": {"amx_tile", "amx_bf16"},
}
# ... and the values of ONEDNN_MAX_CPU_ISA that allow it and nothing later, as their prefixes.
_LIMITS = {
    "SSE41": None,
    "AVX": None,
    "AVX2": "AVX2",
    "AVX512_CORE": "AVX512",
    "AVX512_CORE_BF16": "AVX512_BF16",
    "AVX512_CORE_FP16": "AVX512_BF16",
    "AVX512_CORE_AMX": "AMX",
    "AVX10": "AMX",
}


def switch_on() -> None:
    """Has TensorFlow use oneDNN, unless the user decided or TensorFlow is there already."""
    if "tensorflow" not in sys.modules:
        os.environ.setdefault(SWITCH, "1")


def describe() -> dict[str, str | bool | None]:
    """The processor's path through TensorFlow, which decides the last digits of what it computes.

    Returns:
        "onednn", whether TensorFlow's oneDNN kernels are on; "onednn_max_cpu_isa", the limit that
        the environment sets them; "instruction_set", the latest that the processor has: AVX2,
        AVX512, AVX512_BF16 or AMX. None where it is not known or not set.
    """
    return {
        "onednn": _enabled(),
        "onednn_max_cpu_isa": os.environ.get(LIMIT),
        "instruction_set": instruction_set(_cpuinfo()),
    }


def in_words(path: Mapping[str, Any]) -> str:
    """What `describe` returned, for people: "oneDNN on, AVX2"."""
    switch = {True: "oneDNN on", False: "oneDNN off"}.get(path.get("onednn"), "oneDNN unknown")
    limit = path.get("onednn_max_cpu_isa")
    capped = f"capped at {limit}" if limit else None
    return ", ".join(str(part) for part in (switch, path.get("instruction_set"), capped) if part)


def instruction_set(cpuinfo: str) -> str | None:
    """The latest instruction set in the text of /proc/cpuinfo; None where it lists none."""
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    flags = next((set(rest.split()) for name, _, rest in lines if name.strip() == "flags"), set())
    found = [name for name, needed in _FLAGS.items() if needed <= flags]
    return found[-1] if found else None


def fastest_precision() -> str:
    """What networks train fastest in: bfloat16 where oneDNN has AMX or AVX512_BF16, else float32.

    Float32 also where an NVIDIA GPU may compute, of which the processor tells nothing.
    """
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    off = os.environ.get(SWITCH, "").lower() in _OFF
    if off or (_NVIDIA_DRIVER.exists() and not hidden):
        return "float32"
    usable = _limited(instruction_set(_cpuinfo()), os.environ.get(LIMIT, ""))
    return "bfloat16" if usable in ("AVX512_BF16", "AMX") else "float32"


def _limited(found: str | None, limit: str) -> str | None:
    """What is left of an instruction set under a limit; an unknown limit is none, as in oneDNN."""
    known = [name for name in _LIMITS if limit.upper().startswith(name)]
    if found is None or not known:
        return found
    allowed, order = _LIMITS[max(known, key=len)], list(_FLAGS)
    return allowed and min(found, allowed, key=order.index)


def _cpuinfo() -> str:
    try:
        return _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return ""


def _enabled() -> bool | None:
    """What TensorFlow says of itself; its answer depends on the environment at its import."""
    try:
        from tensorflow.python.util._pywrap_util_port import IsMklEnabled
    except ImportError:
        return None
    return bool(IsMklEnabled())
