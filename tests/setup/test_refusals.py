"""Flags against each other and against the data."""

import json
import math
import pathlib
import subprocess
import sys

import pytest

from anchor_tf.errors import UserError
from anchor_tf.setup import refusals

ROOT = pathlib.Path(__file__).parents[2]
CLUSTER = {
    "cluster": {"worker": ["localhost:1", "localhost:2"]},
    "task": {"type": "worker", "index": 0},
}


def test_naming_puts_the_flag_first():
    with pytest.raises(UserError, match=r"^--dataset: no such file$"), refusals.naming("dataset"):
        raise UserError("no such file")
    with pytest.raises(UserError, match=r"^--dataset is odd$"), refusals.naming("dataset"):
        raise UserError("--dataset is odd")


def test_attacks():
    assert [spec.name for spec in refusals.attacks("fgsm, pgd(steps=2)")] == ["fgsm", "pgd"]
    assert len(refusals.attacks("pgd(steps=2),pgd(steps=3)")) == 2
    with pytest.raises(UserError, match=r"--attacks: attack pgd\(steps=2\) is listed twice"):
        refusals.attacks("pgd(steps=2), pgd( steps=2 )")
    with pytest.raises(UserError, match="--attacks: unknown attack"):
        refusals.attacks("pdg")


SAME = [
    ("fgsm", "fgsm"),
    ("pgd", "pgd(steps=20)"),
    ("pgd(steps=20,restarts=1)", "pgd(restarts=1)"),
    ("pgd(random_start=True)", "pgd(objective=ce)"),
    ("apgd", "apgd(objective=ce)"),
    ("apgd(objective='ce')", "apgd(objective=ce)"),
    ("autoattack", "autoattack(version=standard)"),
    ("autoattack(version='plus')", "autoattack(version=plus)"),
    ("square", "square(initial_fraction=4/5)"),
    ("pgd(step_size=1)", "pgd(step_size=1.0)"),
    ("fab(beta=0.9,steps=100)", "fab(steps=100,beta=0.9)"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_one_attack_written_twice_is_refused(one, other):
    for first, second in ((one, other), (other, one)):
        with pytest.raises(UserError, match=r"--attacks: attack .* is listed twice"):
            refusals.attacks(f"{first}, cw, {second}")


@pytest.mark.parametrize(
    "text",
    [
        "pgd,pgd(steps=21)",
        "pgd,cw",
        "bim,pgd",
        "apgd,apgd(objective=dlr)",
        "mim(decay=1),mim(decay=0)",
    ],
)
def test_attacks_that_differ_are_not(text):
    assert len(refusals.attacks(text)) == 2


def test_examples():
    for count in (None, 1, 10):
        refusals.examples("examples", count, 10)
    for count in (0, 11):
        with pytest.raises(UserError, match=rf"--examples={count} .* 1 to 10"):
            refusals.examples("examples", count, 10)


def test_the_norm_of_the_training_is_that_of_the_evaluation():
    assert refusals.radii(None, None, ("l2", 0.5)) == [("l2", 0.5)]
    assert refusals.radii(None, [0.25, 1.0], ("l2", 0.5)) == [("l2", 0.25), ("l2", 1.0)]
    assert refusals.radii(["linf"], [0.1], ("l2", 0.5)) == [("linf", 0.1)]
    with pytest.raises(UserError, match="--norm=linf needs --epsilon"):
        refusals.radii(["linf"], None, ("l2", 0.5))


NORM = """
import sys
from absl import flags
from anchor_tf.flags import evaluate
flags.FLAGS(["evaluate", *sys.argv[1:]])
print(evaluate.values()["norm"])
"""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--epsilon=2"], "None"),
        (["--norm=l2,linf", "--epsilon=0.5"], "['l2', 'linf']"),
        (["--norm=linf", "--epsilon=2"], "--epsilon=2 is out of range"),
    ],
)
def test_an_evaluation_leaves_the_norm_open_unless_it_is_given(arguments, expected):
    command = [sys.executable, "-c", NORM, *arguments]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert expected in found.stdout + found.stderr


def test_radius():
    refusals.radius("linf", 1.0, (8, 8, 1))
    refusals.radius("l2", 8.0, (8, 8, 1))
    for norm, epsilon in (("linf", 1.01), ("l2", 8.01), ("l2", -0.1), ("linf", math.nan)):
        with pytest.raises(UserError, match="--epsilon="):
            refusals.radius(norm, epsilon, (8, 8, 1))


def test_devices(monkeypatch):
    refusals.devices("auto", None, 7, "float16")
    refusals.devices("auto", 2, 8, "bfloat16")
    with pytest.raises(UserError, match=r"--batch_size=7 .* --virtual_devices=2: take 8"):
        refusals.devices("auto", 2, 7, "float32")
    with pytest.raises(UserError, match="float16"):
        refusals.devices("auto", 2, 8, "float16")
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(UserError, match="multiworker"):
        refusals.devices("multiworker", None, 8, "float32")
    monkeypatch.setenv("TF_CONFIG", "{")
    with pytest.raises(UserError, match="TF_CONFIG is malformed"):
        refusals.devices("auto", None, 8, "float32")
    monkeypatch.setenv("TF_CONFIG", json.dumps(CLUSTER))
    refusals.devices("multiworker", None, 8, "float32")


def test_unwritable(tmp_path):
    refusals.unwritable(tmp_path / "a" / "b" / "report.json", "out")
    (tmp_path / "file").touch()
    refusals.unwritable(tmp_path / "file", "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    for path in (tmp_path, tmp_path / "file" / "report.json", tmp_path / ("x" * 300) / "y"):
        with pytest.raises(UserError, match=r"--out: .* cannot be written"):
            refusals.unwritable(path, "out")
    with pytest.raises(UserError, match="/proc/x/y"):
        refusals.unwritable("/proc/x/y", "out")


def test_a_folder_that_could_not_be_read_back():
    refusals.name_of("workdir", None)
    refusals.name_of("workdir", "runs/anchor_digits")
    with pytest.raises(UserError, match=r"^--workdir: run \[1\] has \[ in its name, which Tensor"):
        refusals.name_of("workdir", "run [1]")
