"""oneDNN is on unless the user decides otherwise; what the processor's path is, and is worth."""

import os
import pathlib
import subprocess
import sys

import pytest

from anchor_tf.devices import onednn
from tests.slow_cases import slow_but

ROOT = pathlib.Path(__file__).parents[2]
MILAN = "fpu sse4_2 avx avx2 fma"
SKYLAKE = f"{MILAN} avx512f avx512dq avx512bw avx512vl"
GENOA = f"{SKYLAKE} avx512_bf16 avx512_vnni"
SAPPHIRE_RAPIDS = f"{GENOA} amx_bf16 amx_tile amx_int8"
GRAVITON = "processor\t: 0\nFeatures\t: fp asimd bf16\n"


def cpuinfo(flags: str) -> str:
    one = f"vendor_id\t: X\nmodel name\t: A flags processor\nflags\t\t: {flags}\nbugs\t: avx2\n\n"
    return 2 * one


@pytest.fixture
def processor(monkeypatch, tmp_path):
    """Has the processor be one with these flags, and no GPU beside it."""

    def pretend(flags: str):
        path = tmp_path / "cpuinfo"
        path.write_text(cpuinfo(flags))
        monkeypatch.setattr(onednn, "_CPUINFO", path)
        monkeypatch.setattr(onednn, "_NVIDIA_DRIVER", tmp_path / "none")

    for name in (onednn.SWITCH, onednn.LIMIT, "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    return pretend


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (cpuinfo("fpu sse4_2 avx"), None),
        (cpuinfo(MILAN), "AVX2"),
        (cpuinfo(SKYLAKE), "AVX512"),
        (cpuinfo(GENOA), "AVX512_BF16"),
        (cpuinfo(SAPPHIRE_RAPIDS), "AMX"),
        (GRAVITON, None),
        ("", None),
    ],
)
def test_the_instruction_set_is_the_latest_that_is_listed(text, expected):
    assert onednn.instruction_set(text) == expected


@pytest.mark.parametrize(
    ("flags", "environment", "expected"),
    [
        (MILAN, {}, "float32"),
        (SKYLAKE, {}, "float32"),
        (GENOA, {}, "bfloat16"),
        (SAPPHIRE_RAPIDS, {}, "bfloat16"),
        (SAPPHIRE_RAPIDS, {onednn.SWITCH: "0"}, "float32"),
        (SAPPHIRE_RAPIDS, {onednn.SWITCH: "False"}, "float32"),
        (SAPPHIRE_RAPIDS, {onednn.SWITCH: "1"}, "bfloat16"),
        (SAPPHIRE_RAPIDS, {onednn.LIMIT: "AVX2"}, "float32"),
        (SAPPHIRE_RAPIDS, {onednn.LIMIT: "avx2_vnni"}, "float32"),
        (SAPPHIRE_RAPIDS, {onednn.LIMIT: "SSE41"}, "float32"),
        (SAPPHIRE_RAPIDS, {onednn.LIMIT: "AVX512_CORE_VNNI"}, "float32"),
        (SAPPHIRE_RAPIDS, {onednn.LIMIT: "AVX512_CORE_BF16"}, "bfloat16"),
        (SAPPHIRE_RAPIDS, {onednn.LIMIT: "AVX512_CORE_AMX"}, "bfloat16"),
        (MILAN, {onednn.LIMIT: "AVX512_CORE_AMX"}, "float32"),
        (SAPPHIRE_RAPIDS, {onednn.LIMIT: "DEFAULT"}, "bfloat16"),
    ],
)
def test_bfloat16_is_fastest_where_the_kernels_have_it(
    processor, monkeypatch, flags, environment, expected
):
    processor(flags)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert onednn.fastest_precision() == expected


@pytest.mark.parametrize(("visible", "expected"), [(None, "float32"), ("-1", "bfloat16")])
def test_a_gpu_makes_the_processor_no_measure(processor, monkeypatch, tmp_path, visible, expected):
    processor(SAPPHIRE_RAPIDS)
    monkeypatch.setattr(onednn, "_NVIDIA_DRIVER", tmp_path)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert onednn.fastest_precision() == expected


@pytest.mark.parametrize("given", [None, "0", "1", ""])
def test_it_is_switched_on_unless_the_user_has_decided(monkeypatch, given):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.delenv(onednn.SWITCH, raising=False)
    if given is not None:
        monkeypatch.setenv(onednn.SWITCH, given)
    onednn.switch_on()
    assert os.environ[onednn.SWITCH] == ("1" if given is None else given)


def test_what_is_described(processor, monkeypatch):
    processor(GENOA)
    monkeypatch.setenv(onednn.LIMIT, "AVX2")
    found = onednn.describe()
    assert found | {"onednn": None} == {
        "onednn": None,
        "onednn_max_cpu_isa": "AVX2",
        "instruction_set": "AVX512_BF16",
    }
    assert found["onednn"] in (True, False)
    assert onednn.in_words({**found, "onednn": True}) == "oneDNN on, AVX512_BF16, capped at AVX2"
    assert onednn.in_words({}) == "oneDNN unknown"


ORDERS = {
    "anchor_tf first": ("import anchor_tf, tensorflow", "1 True"),
    "a command first": ("import anchor_tf.train, tensorflow", "1 True"),
    "tensorflow first": ("import tensorflow, anchor_tf", "None None"),
}


@pytest.mark.parametrize("order", slow_but(list(ORDERS)[:1], ORDERS))
def test_it_is_on_where_the_package_is_imported_before_tensorflow(order):
    imports, expected = ORDERS[order]
    code = (
        f"import os; {imports}; from anchor_tf.devices import onednn; "
        "setting = os.environ.get(onednn.SWITCH); "
        "print(setting, setting and onednn.describe()['onednn'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != onednn.SWITCH}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == expected
