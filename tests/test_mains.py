"""The commands as a user types them: one whole run, and mistakes answered in one line."""

import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

from anchor_tf.checkpoints import checkpoint_file
from anchor_tf.devices import onednn
from anchor_tf.models import model_file

ROOT = pathlib.Path(__file__).parent.parent
SHORT = ["--epochs=2", "--finetune_epochs=1", "--train_examples=200", "--attack_steps=2"]


def run(main, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", f"anchor_tf.{main}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "anchor"
    result = run("train", *SHORT, f"--workdir={workdir}", "--examples=100")
    assert result.returncode == 0, result.stderr
    return workdir, result


def test_run_leaves_everything(finished):
    workdir, result = finished
    for name in ("config.json", "checkpoints", "model.keras", "export/1/saved_model.pb"):
        assert (workdir / name).exists()
    reports = ("report.json", "report.md", "report.html", "model_card.md")
    for name in (*reports, "history.csv", "plots/accuracy_against_epsilon.png"):
        assert (workdir / name).stat().st_size > 100
    assert list((workdir / "logs").rglob("events.out.tfevents*"))
    assert "train  epoch 2/2" in result.stdout
    assert "finetune  epoch 1/1" in result.stdout
    assert "worst case" in result.stdout
    assert result.stderr == ""


def test_report_keeps_its_contract(finished):
    report = json.loads((finished[0] / "report.json").read_text())
    assert report["dataset"] == "digits"
    assert (report["split"], report["examples"], report["norm"], report["epsilon"]) == (
        "test",
        100,
        "linf",
        0.1,
    )
    assert list(report["attacks"]) == ["fgsm", "pgd(steps=20)", "cw(steps=20)"]
    accuracies = [entry["accuracy"] for entry in report["attacks"].values()]
    assert 0.0 <= report["worst_case"]["accuracy"] <= min(accuracies)
    assert max(accuracies) <= report["clean"]["accuracy"] <= 1.0
    assert report["attacks"]["pgd(steps=20)"]["settings"]["step_size"] == pytest.approx(0.0125)
    assert report["warnings"] == []
    assert {"dataset", "seed", "versions"} <= set(report)


def test_config_holds_the_split(finished):
    config = json.loads((finished[0] / "config.json").read_text())
    assert [len(config["indices"][name]) for name in ("train", "validation", "test")] == [
        1293,
        144,
        360,
    ]
    assert config["train"]["method"] == "anchor"
    attack = {"name": "pgd", "steps": 2, "at_most": False}
    assert config["phases"] == {
        "train": {"epochs": 2, "attack": attack},
        "finetune": {"mode": "slf", "epochs": 1, "attack": None},
    }


def test_config_and_report_hold_the_processor_s_path(finished):
    here = onednn.describe()
    content = json.loads((finished[0] / "config.json").read_text())["processor"]
    machine = json.loads((finished[0] / "report.json").read_text())["machine"]
    for name, value in here.items():
        assert (content[name], machine[name]) == (value, value)
    page = (finished[0] / "report.html").read_text()
    assert onednn.in_words(here) in page
    assert "pgd of 2 steps, L-inf epsilon 0.1" in page


def test_history_has_a_row_an_epoch(finished):
    with open(finished[0] / "history.csv", newline="") as file:
        rows = [(row["phase"], row["epoch"]) for row in csv.DictReader(file)]
    assert rows == [("train", "1"), ("train", "2"), ("finetune", "1")]


def test_finetuning_left_the_backbone_as_it_was_trained(finished):
    model = model_file.load(finished[0] / "model.keras")
    count = len(model.get_layer("backbone").weights)
    newest = max((finished[0] / "checkpoints" / "train").glob("*.npz"))
    values = checkpoint_file.read(newest)[0][:count]
    assert {v.tobytes() for v in map(np.asarray, model.get_layer("backbone").weights)} <= {
        v.tobytes() for v in values
    }


def test_a_finished_run_prints_its_table(finished):
    workdir, _ = finished
    before = (workdir / "report.json").read_bytes()
    result = run("train", *SHORT, f"--workdir={workdir}", "--examples=100")
    assert result.returncode == 0, result.stderr
    assert "worst case" in result.stdout
    assert "epoch" not in result.stdout
    assert (workdir / "report.json").read_bytes() == before


def test_evaluate_replaces_the_report(finished, tmp_path):
    workdir, _ = finished
    former = (workdir / "report.json").read_bytes()
    examples = tmp_path / "examples.npz"
    result = run(
        "evaluate",
        f"--workdir={workdir}",
        "--attacks=fgsm, bim(steps=3)",
        "--epsilon=0.1,16/255,0",
        "--norm=linf,l2",
        "--examples=50",
        f"--save_examples={examples}",
    )
    assert result.returncode == 0, result.stderr
    report = json.loads((workdir / "report.json").read_text())
    assert [(one["norm"], one["epsilon"]) for one in report["sweep"]] == [
        (norm, pytest.approx(epsilon)) for norm in ("linf", "l2") for epsilon in (0.1, 16 / 255, 0)
    ]
    assert list(report["attacks"]) == ["fgsm", "bim(steps=3)"]
    of_training = ("parameters", "epochs", "training_seconds", "image_passes", "training_images")
    for name in (*of_training, "phases"):
        assert report[name] == json.loads(former)[name]
    assert report["machine"]["cores"] >= 1
    for one in report["sweep"]:
        if one["epsilon"] == 0:
            assert one["worst_case"]["accuracy"] == report["clean"]["accuracy"]
    assert (workdir / "reports" / "0.json").read_bytes() == former
    assert [command.split()[2] for command in report["commands"]] == [
        "anchor_tf.train",
        "anchor_tf.evaluate",
    ]
    assert "bim(steps=3)" in (workdir / "report.html").read_text()
    assert "bim(steps=3)" in (workdir / "model_card.md").read_text()
    with np.load(examples) as arrays:
        assert arrays["x_adv"].shape == arrays["x"].shape == (50, 8, 8, 1)
        assert np.abs(arrays["x_adv"] - arrays["x"]).max() <= 0.1 + 1e-6
        assert arrays["robust"].mean() == pytest.approx(report["worst_case"]["accuracy"])


def test_evaluate_writes_elsewhere(finished, tmp_path):
    workdir, _ = finished
    before = (workdir / "report.json").read_bytes()
    arguments = (f"--workdir={workdir}", "--attacks=fgsm", "--out=~/out")
    result = run("evaluate", *arguments, HOME=str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "out" / "report.json").read_text())["examples"] == 360
    assert (workdir / "report.json").read_bytes() == before


@pytest.mark.slow
def test_evaluate_takes_any_model_file(finished, tmp_path):
    reports = []
    for model in ("model.keras", "export", "export/1"):
        result = run(
            "evaluate",
            f"--model={finished[0] / model}",
            "--dataset=digits",
            "--attacks=fgsm,pgd(steps=5)",
            "--epsilon=0.1",
            "--examples=100",
            f"--out={tmp_path / model}",
        )
        assert result.returncode == 0, result.stderr
        report = json.loads((tmp_path / model / "report.json").read_text())
        reports.append([report["clean"], *(a["accuracy"] for a in report["attacks"].values())])
    assert reports[0] == reports[1] == reports[2]
    assert reports[0][1] > reports[0][2]


def test_evaluate_takes_one_output_in_a_dict(tmp_path):
    images = keras.Input((8, 8, 1))
    hidden = keras.layers.Flatten()(images)
    score = keras.layers.Dense(1, "sigmoid")(hidden)
    keras.Model(images, {"score": score}).save(tmp_path / "model.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (80, 8, 8, 1), np.uint8)
    labels = np.arange(80) % 2
    arrays = {"x_train": pixels[:60], "y_train": labels[:60]}
    np.savez(tmp_path / "data.npz", **arrays, x_test=pixels[60:], y_test=labels[60:])
    result = run(
        "evaluate",
        f"--model={tmp_path / 'model.keras'}",
        f"--dataset=npz(path={tmp_path / 'data.npz'})",
        "--attacks=apgd(steps=3),pgd(steps=3)",
        "--epsilon=0.3",
        f"--out={tmp_path / 'out'}",
    )
    assert result.returncode == 0, result.stderr
    assert "OutputWarning" not in result.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "the model has one output, a sigmoid of z" in " ".join(report["warnings"])
    assert report["worst_case"]["accuracy"] == 0.0 < report["clean"]["accuracy"] < 1.0


def test_evaluate_names_what_is_missing(finished, tmp_path):
    mistakes = [
        ([f"--model={tmp_path / 'none.keras'}", "--dataset=digits", "--out=x"], "does not exist"),
        ([f"--model={finished[0] / 'model.keras'}"], "--dataset"),
        ([f"--model={finished[0] / 'model.keras'}", f"--workdir={finished[0]}"], "one of them"),
        ([f"--workdir={finished[0]}", "--norm=", "--epsilon=0.1"], "--norm is empty"),
        ([f"--model={finished[0]}", "--dataset=digits", f"--out={tmp_path}"], "SavedModel"),
        ([f"--workdir={finished[0]}", "--attacks="], "--attacks"),
        ([f"--workdir={finished[0]}", "--attacks=fgsm,fgsm"], "listed twice"),
        ([f"--workdir={finished[0]}", "--norm=linf,l2"], "needs --epsilon"),
        ([f"--workdir={finished[0]}", "--save_examples=/proc/x/y.npz"], "--save_examples"),
        ([f"--workdir={finished[0]}", "--attacks=autoattack(version=fast)"], "'standard'"),
    ]
    for arguments, message in mistakes:
        result = run("evaluate", *arguments)
        assert result.returncode == 2, result
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_export_counts_versions_up(finished):
    result = run("export", f"--workdir={finished[0]}")
    assert result.returncode == 0, result.stderr
    assert (finished[0] / "export" / "2" / "saved_model.pb").exists()


def test_export_as_tflite(finished):
    workdir = finished[0]
    result = run("export", f"--workdir={workdir}", "--format=tflite")
    assert (result.returncode, result.stdout, result.stderr) == (
        0,
        f"{workdir / 'model.tflite'}\n",
        "",
    )
    assert not (workdir / "export" / "3").exists()
    assert (workdir / "model.tflite").stat().st_size > 1_000_000  # 264,362 numbers


MISTAKES = [
    (["--method=ancor"], "unknown method 'ancor': did you mean anchor?"),
    (["--method=anchor(bta=1)"], "no argument 'bta': did you mean beta?"),
    (["--method=anchor(views=4)"], "views=4 should be 2 or 3"),
    (["--attacks=fgsm,pdg"], "unknown attack 'pdg': did you mean pgd?"),
    (["--dataset=digit"], "unknown dataset 'digit': did you mean digits?"),
    (["--dataset=npz(path=/nowhere.npz)"], "/nowhere.npz"),
    (["--dataset=folder(path=/nowhere)"], "/nowhere"),
    (["--dataset=cifar10"], "cifar10"),
    (["--backbone=resnet(depth=19)"], "depth=19"),
    (["--augment=crop(pading=2)"], "did you mean padding?"),
    (["--epsilon=8"], "--epsilon"),
    (["--epsilon=-0.1"], "epsilon"),
    (["--epsilon=8/0"], "epsilon"),
    (["--norm=l1"], "--norm=l1"),
    (["--epsilon=0.1,0.2"], "--epsilon"),
    (["--epochs=0"], "epochs"),
    (["--epochs=many"], "epochs"),
    (["--epoch=3"], "epoch"),
    (["anchor"], "'anchor' is not a flag"),
    (["--flagfile=/nowhere.flags"], "/nowhere.flags"),
    (["--train_examples=5000"], "5000"),
    (["--examples=5000"], "5000"),
    (["--batch_size=5000"], "5000"),
    (["--workdir=/proc/run"], "--workdir"),
    (["--method=anchor(temperature=0)"], "temperature"),
    (["--augment=crop(padding=-1)"], "padding"),
    (["--backbone=small(width=0)"], "width=0"),
    (["--attacks=pgd(steps=0)"], "steps"),
    (["--attacks=mim(decay=-1)"], "decay"),
    (["--attacks=fgsm,fgsm"], "listed twice"),
    (["--attacks=pgd,pgd(steps=20)"], "listed twice"),
    (["--precision=fast"], "--precision"),
    (["--norm=l2"], "--norm=l2 needs --epsilon"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=lambda value: str(value)[:40])
def test_a_mistake_gets_one_line_and_status_two(arguments, message, tmp_path):
    workdir = [] if "--workdir" in arguments[0] else [f"--workdir={tmp_path / 'run'}"]
    result = run("train", *arguments, *workdir, TFDS_DATA_DIR=str(tmp_path / "none"))
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


def test_another_configuration_is_refused(finished):
    result = run("train", f"--workdir={finished[0]}", "--epochs=9")
    assert result.returncode == 2
    assert "--attack_steps=2 (now 10)" in result.stderr


@pytest.mark.parametrize("main", ["evaluate", "export"])
def test_a_folder_without_a_run_is_refused(main, tmp_path):
    for arguments in ([], [f"--workdir={tmp_path}"]):
        result = run(main, *arguments)
        assert result.returncode == 2
        assert "--workdir" in result.stderr or "not a finished run" in result.stderr


@pytest.mark.slow
def test_quiet_runs_print_their_table_alone(tmp_path):
    flags = ["--epochs=1", "--finetune=none", "--train_examples=40", "--batch_size=20"]
    quick = ["--attack_steps=1", "--attacks=fgsm", "--examples=20", "--verbosity=-2"]
    result = run("train", *flags, *quick, f"--workdir={tmp_path / 'run'}")
    assert result.returncode == 0, result.stderr
    assert "OutputWarning" not in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("digits test, 20 examples")
    assert not any("epoch 1/1" in line or "left" in line for line in lines)


@pytest.mark.parametrize("main", ["train", "study", "export"])
def test_a_folder_that_tensorflow_could_not_read_is_refused_at_once(main, tmp_path):
    result = run(main, "--workdir=run [1]", "--dataset=npz(path=nowhere.npz)")
    if main == "export":
        result = run(main, "--workdir=run [1]")
    assert result.returncode == 2
    assert result.stderr.startswith("error: --workdir: run [1] has [ in its name")
    assert result.stderr.count("\n") == 1
    assert not (ROOT / "run [1]").exists()


def test_a_run_is_read_and_its_report_goes_anywhere(finished, tmp_path):
    moved = tmp_path / "moved [1]"
    moved.mkdir()
    for name in ("config.json", "model.keras", "report.json", "history.csv"):
        shutil.copy(finished[0] / name, moved)
    out, examples = tmp_path / "out [1]*", tmp_path / "x [1].npz"
    arguments = ("--attacks=fgsm", "--examples=20", f"--out={out}", f"--save_examples={examples}")
    result = run("evaluate", f"--workdir={moved}", *arguments)
    assert result.returncode == 0, result.stderr
    assert json.loads((out / "report.json").read_text())["examples"] == 20
    assert (out / "plots" / "accuracy_against_epsilon.png").exists()
    assert examples.exists()
