"""The benchmark: figures that hang together, and mistakes named."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "anchor_tf.benchmark", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )


def test_figures_hang_together(tmp_path):
    path = tmp_path / "figures.json"
    result = run(
        "--methods=ce,pgd_at", "--backbones=small(width=2)", "--batch_sizes=8,16",
        "--image_shape=8,8,1", "--attack_steps=30", "--rounds=3", "--steps=2",
        "--train_examples=160", "--epochs=10", f"--json={path}",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    content = json.loads(path.read_text())
    cases = content["cases"]
    assert [(case["method"], case["batch_size"]) for case in cases] == [
        ("ce", 8), ("ce", 16), ("pgd_at", 8), ("pgd_at", 16),
    ]  # fmt: skip
    assert cases[0]["over_first"] == 1.0
    for case in cases:
        assert case["images_per_second"] == pytest.approx(
            case["batch_size"] / case["seconds_a_step"]
        )
        hours = case["seconds_a_step"] * (160 // case["batch_size"]) * 10 / 3600
        assert case["hours"] == pytest.approx(hours)
        assert 0 <= case["waiting_for_input"] < 1
        assert 0 < case["over_bare_passes"] < 20
        assert case["method"] in result.stdout
    assert cases[2]["over_first"] > cases[0]["over_first"]  # thirty passes more
    assert content["machine"]["replicas"] == 1
    assert all(0 < case["memory_gb"] < 4 for case in cases)


@pytest.mark.slow
def test_cases_differ_in_the_compiler(tmp_path):
    path = tmp_path / "figures.json"
    result = run(
        "--methods=pgd_at", "--backbones=small(width=2)", "--batch_sizes=8", "--image_shape=8,8,1",
        "--attack_steps=2", "--rounds=1", "--steps=1", "--xla=off,on", f"--json={path}",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert [case["xla"] for case in json.loads(path.read_text())["cases"]] == [False, True]
    assert "float32, xla" in result.stdout


@pytest.mark.slow
def test_several_replicas_are_timed_too():
    result = run(
        "--methods=ce", "--backbones=small(width=2)", "--batch_sizes=8", "--image_shape=8,8,1",
        "--rounds=1", "--steps=1", "--virtual_devices=2",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "2 replicas" in result.stdout


@pytest.mark.parametrize(
    ("flag", "named"),
    [
        ("--batch_sizes=a", "--batch_sizes=a"),
        ("--batch_sizes=0", "--batch_sizes=0"),
        ("--image_shape=8,8", "--image_shape"),
        ("--precisions=float8", "--precisions=float8"),
        ("--xla=maybe", "--xla=maybe"),
        ("--methods=pgdat", "did you mean pgd_at"),
        ("--backbones=resnet(depth=19)", "depth=19"),
    ],
)
def test_mistakes_are_named(flag, named):
    result = run(flag)
    assert result.returncode == 2
    assert named in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
