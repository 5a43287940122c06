"""A study as a user types it: runs, a failure, a continuation, and mistakes in one line."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

from anchor_tf import study as commands

ROOT = pathlib.Path(__file__).parent.parent
SHORT = [
    "--epochs=1",
    "--finetune_epochs=1",
    "--attacks=fgsm",
    "--examples=20",
    "--train_examples=200",
    "--attack_steps=1",
    "--backbone=small(width=2)",
]


def study(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "anchor_tf.study", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One method of three fails when it is built."""
    workdir = tmp_path_factory.mktemp("runs") / "study"
    methods = "--methods=ce,anchor(contrastive_weight=0,ce_weight=0),pgd_at"
    return workdir, study(methods, "--seeds=1", "--jobs=2", *SHORT, f"--workdir={workdir}")


def test_a_failure_is_recorded_and_the_rest_goes_on(finished):
    workdir, result = finished
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    record = json.loads((workdir / "study.json").read_text())
    assert list(record["failures"]) == ["anchor_contrastive_weight=0_ce_weight=0/seed_0"]
    failure = record["failures"]["anchor_contrastive_weight=0_ce_weight=0/seed_0"]
    assert failure["status"] == 2
    assert failure["message"].startswith("error: method anchor: at least one weight")
    rows = json.loads((workdir / "table.json").read_text())["methods"]
    found = [(row["method"], row["runs"], row["failures"]) for row in rows]
    assert found == [
        ("ce", [0], 0),
        ("anchor(contrastive_weight=0,ce_weight=0)", [], 1),
        ("pgd_at", [0], 0),
    ]
    report = json.loads((workdir / "pgd_at" / "seed_0" / "report.json").read_text())
    assert rows[2]["accuracies"]["fgsm"]["mean"] == report["attacks"]["fgsm"]["accuracy"]
    assert rows[2]["difference"]["examples"] == 20
    assert rows[2]["parameters"] > 0
    assert rows[2]["training_seconds"]["mean"] > 0
    assert rows[2]["image_passes"] == 2
    assert (workdir / "table.md").read_text() in result.stdout
    for name in ("accuracy_against_epsilon.png", "training.png"):
        assert (workdir / "plots" / name).stat().st_size > 1000


def test_runs_side_by_side_share_the_cores_and_keep_what_they_say(finished):
    workdir, result = finished
    assert (
        "anchor_contrastive_weight=0_ce_weight=0/seed_0: error: method anchor: at least one weight"
        in result.stderr
    )
    assert "epoch 1/1" not in result.stdout
    assert "epoch 1/1" in (workdir / "pgd_at" / "seed_0.txt").read_text()
    report = json.loads((workdir / "pgd_at" / "seed_0" / "report.json").read_text())
    cores = report["machine"]["cores"]
    assert report["machine"]["threads"] == max(1, cores // 2)


@pytest.mark.slow
def test_finished_runs_are_attacked_again(finished, tmp_path):
    workdir, _ = finished
    before = (workdir / "ce" / "seed_0" / "report.json").read_bytes()
    again = ["--attacks=pgd(steps=2)", "--examples=10", f"--workdir={workdir}"]
    out = tmp_path / "again"
    result = study(*again, f"--out={out}")
    assert result.returncode == 0, result.stderr
    assert "left out: anchor_contrastive_weight=0_ce_weight=0/seed_0 is not finished" in (
        result.stdout
    )
    content = json.loads((out / "table.json").read_text())
    assert content["examples"] == 10
    rows = {row["method"]: row for row in content["methods"]}
    assert list(rows["pgd_at"]["accuracies"]) == ["clean", "pgd(steps=2)", "worst case"]
    trained = json.loads((workdir / "table.json").read_text())["methods"][2]
    for name in ("epochs", "parameters", "image_passes", "training_seconds"):
        assert rows["pgd_at"][name] == trained[name]
    assert (workdir / "ce" / "seed_0" / "report.json").read_bytes() == before
    second = study(*again, f"--out={out}")
    assert second.returncode == 0, second.stderr
    assert second.stdout.count("finished before") == 2
    report = out / "ce" / "seed_0" / "report.json"
    of_another = report.read_text().replace(json.loads(report.read_text())["model_digest"], "other")
    report.write_text(of_another)
    third = study(*again, f"--out={out}")
    assert third.stdout.count("finished before") == 1
    assert report.read_text() != of_another
    other = study("--attacks=fgsm", f"--workdir={workdir}", f"--out={out}")
    assert other.returncode == 2
    assert "--attacks=pgd(steps=2) (now fgsm)" in other.stderr


@pytest.mark.slow
def test_the_first_method_stays_the_reference_where_it_has_no_run(finished, tmp_path):
    copy = tmp_path / "study"
    shutil.copytree(finished[0], copy)
    (copy / "ce" / "seed_0" / "report.json").unlink()
    arguments = ["--attacks=fgsm", "--examples=10", f"--workdir={copy}", f"--out={tmp_path / 'o'}"]
    assert study(*arguments).returncode == 0
    rows = json.loads((tmp_path / "o" / "table.json").read_text())["methods"]
    assert [row["method"] for row in rows][::2] == ["ce", "pgd_at"]
    assert [len(row["runs"]) for row in rows] == [0, 0, 1]
    assert rows[2]["difference"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--norm=l2"], "--norm=l2 needs --epsilon"),
        (["--norm=linf,l2"], "--norm takes one value here"),
        (["--epsilon=0.1,0.2"], "--epsilon takes one value here"),
        (["--epsilon=2", "--norm=l2", "--attacks="], "--attacks is empty"),
        (["--examples=500"], "--examples=500 should be from 1 to 360"),
        (["--epochs=3"], "--epochs does not go with --out"),
        (["--strategy=multiworker"], "--strategy=multiworker"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_mistake_in_attacking_again_leaves_nothing(finished, tmp_path, arguments, message):
    out = tmp_path / "again"
    result = study(*arguments, f"--workdir={finished[0]}", f"--out={out}")
    assert result.returncode == 2, result
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not out.exists()


@pytest.mark.slow
def test_an_entry_with_flags_may_start_from_a_run(finished, tmp_path):
    workdir, _ = finished
    source = os.path.relpath(workdir / "ce" / "seed_0", ROOT)
    folder, out = tmp_path / "study", tmp_path / "again"
    entry = f"ce --init_from={source} --augment='crop(padding=1),cutout(size=2)'"
    given = [f"--methods=ce,{entry}", "--seeds=1", "--epochs=1", *SHORT[2:]]
    first = study(*given, f"--workdir={folder}")
    assert first.returncode == 0, first.stderr
    second = study(*given, f"--workdir={folder}")
    assert second.returncode == 0, second.stderr
    assert second.stdout.count("finished before") == 2
    again = study("--attacks=fgsm", "--examples=10", f"--workdir={folder}", f"--out={out}")
    assert again.returncode == 0, again.stderr
    rows = json.loads((out / "table.json").read_text())["methods"]
    assert [row["method"] for row in rows] == ["ce", entry]
    assert [row["runs"] for row in rows] == [[0], [0]]


def test_a_finished_study_runs_nothing_again(finished):
    workdir, first = finished
    assert first.returncode == 1
    before = (workdir / "ce" / "seed_0" / "report.json").stat().st_mtime_ns
    result = study("--methods=ce,pgd_at", "--seeds=1", *SHORT, f"--workdir={workdir}")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("finished before") == 2
    assert "epoch 1/1" not in result.stdout
    assert (workdir / "ce" / "seed_0" / "report.json").stat().st_mtime_ns == before
    assert json.loads((workdir / "study.json").read_text())["failures"] == {}


def test_another_study_is_refused(finished):
    workdir, _ = finished
    result = study("--methods=ce,pgd_at", "--epochs=2", *SHORT[1:], f"--workdir={workdir}")
    assert result.returncode == 2
    assert "--epochs=1 (now 2)" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_stopped_study_ends_its_run(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "anchor_tf.study", "--methods=ce", f"--workdir={tmp_path / 's'}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    for line in process.stdout:
        if line.startswith("ce on digits"):  # the run catches signals by then
            break
    process.send_signal(signal.SIGINT)
    # Returns once the run too has closed its end of the pipes.
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    of_the_run, of_the_study = errors.splitlines()
    assert of_the_run.startswith("stopped by SIGTERM")  # before its first step or after one
    assert of_the_study == "stopped: the same command goes on from here"
    assert json.loads((tmp_path / "s" / "study.json").read_text())["failures"] == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods=ce,ancor"], "did you mean anchor?"),
        (["--methods=anchor,anchor"], "alike"),
        (["--methods=ce,ce --backbone=smal(width=2)"], "did you mean small?"),
        (["--methods=ce,ce --batch_size=0"], "--batch_size=0 of ce"),
        (["--methods=ce,ce --augment=crp(padding=1)"], "did you mean crop?"),
        (["--methods=ce,ce --init_from=/nowhere"], "/nowhere"),
        (["--methods=ce,ce --epochs=3", "--equal_passes"], "sets --epochs of ce --epochs=3"),
        (["--methods=ce,ce --ramp_epochs=3", "--equal_passes"], "sets --ramp_epochs of ce"),
        (["--methods=ce,ce --virtual_devices=3", "--strategy=one"], "--virtual_devices=3 needs"),
        (["--methods=ce,ce --init_from=~/nowhere"], os.path.expanduser("~/nowhere")),
        (["--method=ce"], "--method is set by the study"),
        (["--seed=1"], "--seed is set by the study"),
        (["--seeds=2", "--cross_validate"], "--seeds does not go with --cross_validate"),
        (["--fold=2", "--cross_validate"], "--fold does not go with --cross_validate"),
        (["--attacks=pdg"], "did you mean pgd?"),
        (["--examples=5000"], "5000"),
        (["--cross_validate", "--examples=300"], "300"),
        (["--batch_size=5000"], "5000"),
        (["--init_from=/nowhere"], "/nowhere"),
        (["--workdir=/proc/study"], "--workdir"),
        (["--methods=ce", "--out=elsewhere"], "--methods does not go with --out"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_mistake_gets_one_line_and_status_two(arguments, message, tmp_path):
    workdir = [] if "--workdir" in arguments[0] else [f"--workdir={tmp_path / 'study'}"]
    methods = [] if "--methods" in arguments[0] else ["--methods=ce"]
    result = study(*methods, *arguments, *workdir)
    assert result.returncode == 2, result
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("given", "kept", "chosen"),
    [
        ("float32", None, "float32"),
        ("auto", None, "bfloat16"),
        ("auto", "float32", "float32"),  # the study began on another processor
        ("auto", "bfloat16", "bfloat16"),
    ],
)
def test_the_runs_of_a_study_compute_in_one_precision(monkeypatch, tmp_path, given, kept, chosen):
    monkeypatch.setattr("anchor_tf.devices.onednn.fastest_precision", lambda: "bfloat16")
    if kept:
        record = {"methods": {}, "seeds": 1, "settings": {"precision": kept}, "failures": {}}
        (tmp_path / "study.json").write_text(json.dumps(record))
    flags = {"precision": given, "given": {"precision": f"--precision={given}"}}
    commands._choose_precision(flags, tmp_path)
    assert flags == {"precision": chosen, "given": {"precision": f"--precision={chosen}"}}
