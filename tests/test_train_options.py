"""Options of the training command: where it starts from, what it keeps, what it leaves out."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from anchor_tf import config, evaluate, train
from anchor_tf.devices import onednn
from anchor_tf.errors import UserError
from anchor_tf.models import model_file
from anchor_tf.setup import preparation
from anchor_tf.workdir import Workdir
from tests.test_config import DATA, resolved
from tests.test_mains import SHORT, run


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "source"
    result = run(
        "train", *SHORT, "--method=pgd_at", "--backbone=small(width=4)", "--select=best",
        "--ema_decay=0.5", "--fold=2", "--attacks=fgsm", "--examples=50", f"--workdir={workdir}",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return workdir, result.stdout


@pytest.mark.slow
def test_best_and_last_are_both_reported_on_the_fold(source):
    workdir, output = source
    report = json.loads((workdir / "report.json").read_text())
    assert report["split"].startswith("fold 2")
    assert {"clean", "attacks", "worst_case"} <= set(report["last"])
    assert "keeping epoch" in output
    assert report["image_passes"] == 2 * 3
    assert report["training_seconds"] > 0
    assert report["parameters"] == model_file.load(workdir / "model.keras").count_params()
    indices = json.loads((workdir / "config.json").read_text())["indices"]
    assert 280 < len(indices["fold"]) < 295


@pytest.mark.slow
def test_finetuning_alone_starts_from_a_finished_run(source, tmp_path):
    result = run(
        "train", "--method=ce", f"--init_from={source[0]}", "--epochs=0", "--finetune=alf",
        "--finetune_epochs=1", "--train_examples=200", "--attack_steps=2", "--attacks=fgsm",
        "--examples=50", "--fold=2", f"--workdir={tmp_path / 'tuned'}",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    before = model_file.load(source[0] / "model.keras")
    after = model_file.load(tmp_path / "tuned" / "model.keras")
    for part, moved in (("backbone", False), ("classifier", True)):
        pairs = zip(
            before.get_layer(part).get_weights(), after.get_layer(part).get_weights(), strict=True
        )
        assert any(not np.array_equal(a, b) for a, b in pairs) == moved
    images = np.random.default_rng(0).uniform(size=(4, 8, 8, 1)).astype(np.float32)
    features = [model.get_layer("backbone")(images) for model in (before, after)]
    np.testing.assert_allclose(*features, atol=1e-6)  # the normalisation came along too
    again = run(
        "train", "--method=ce", f"--init_from={source[0]}", "--backbone=small(width=3)",
        "--epochs=1", "--fold=2", f"--workdir={tmp_path / 'other'}",
    )  # fmt: skip
    assert again.returncode == 2
    assert "another network" in again.stderr


@pytest.mark.slow
def test_evaluating_a_fold_s_run_stays_on_the_fold(source, tmp_path):
    out = tmp_path / "again"
    result = run("evaluate", f"--workdir={source[0]}", "--attacks=fgsm", f"--out={out}")
    assert result.returncode == 0, result.stderr
    report = json.loads((out / "report.json").read_text())
    assert report["split"].startswith("fold 2")
    assert report["examples"] == 287
    assert report["last"]["clean"] != report["clean"]
    assert report["last"]["norm"] == "linf"


@pytest.fixture
def prepared(source, tmp_path):
    """What evaluation prepares of a data set for the run, but on 100 images."""
    workdir = Workdir(source[0])
    config_, _ = config.load(workdir.config)
    run_ = dataclasses.replace(config_, train_examples=100)
    own = preparation.part(run_, preparation.dataset("digits")[1]).digest()
    flags = {"norm": ["linf"], "epsilon": None, "examples": None, "strategy": "one"}
    flags |= {"model": None, "out": None, "save_examples": None}

    def prepare(dataset, **changes):
        facts = {"class_names": list("0123456789"), "data_sha256": own, **changes}
        places = workdir.model, tmp_path, "out"
        subject = evaluate._Subject(*places, dataset, workdir, run_, **facts)
        _, images, split, _ = evaluate._prepare(flags, subject)
        return len(images.train), len(images.test), split

    return prepare


def test_what_of_a_data_set_an_evaluation_uses(prepared, tmp_path, monkeypatch):
    assert prepared("digits") == (100, 287, "fold 2 of the training images")
    other = data(tmp_path / "other.npz").removeprefix("--dataset=")
    assert prepared(other) == (36, 40, "test")
    monkeypatch.setattr(preparation, "dataset", lambda _, load=preparation.dataset: load("digits"))
    moved = "npz(path=elsewhere.npz)"  # the run's own data by another name
    assert prepared(moved) == (100, 287, "fold 2 of the training images")


def test_data_that_have_changed_since_the_training_are_refused(prepared):
    with pytest.raises(UserError, match=r"--dataset=digits holds other data than .* was trained"):
        prepared("digits", data_sha256="former")


def test_classes_of_other_names_are_refused(prepared, tmp_path):
    for part in ("train", "test"):
        for name in ("ant", "bee"):
            (tmp_path / "insects" / part / name).mkdir(parents=True)
            for number in range(5):
                path = tmp_path / "insects" / part / name / f"{number}.png"
                Image.new("L", (8, 8), 20 * number).save(path)
    insects = f"folder(path={tmp_path / 'insects'})"
    assert prepared(insects, class_names=["ant", "bee", "cow"])[2] == "test"
    message = "has the classes ant, bee; the run was trained on bee, ant"
    with pytest.raises(UserError, match=message):
        prepared(insects, class_names=["bee", "ant"])


def test_another_run_s_folder_is_no_place_for_a_report(source, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    flags = {"workdir": str(source[0]), "model": None, "dataset": None, "out": str(tmp_path)}
    with pytest.raises(UserError, match="is the folder of another run"):
        evaluate._subject(flags)
    with pytest.raises(UserError, match="is the folder of another run"):
        evaluate._subject({**flags, "workdir": None, "model": "model.keras"})
    subject = evaluate._subject({**flags, "out": f"{source[0]}/../{source[0].name}"})
    assert subject.folder.samefile(source[0])
    assert subject.class_names == list("0123456789")


def data(path, classes=10, size=8, images=40):
    labels = np.arange(images) % classes
    pixels = np.random.default_rng(0).integers(0, 256, (images, size, size, 1), np.uint8)
    np.savez(path, x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
    return f"--dataset=npz(path={path})"


def refused(*arguments):
    result = run("train", *arguments)
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    return result.stderr


def test_another_image_size_or_number_of_classes_is_refused(source, tmp_path):
    start = f"--init_from={source[0]}"
    workdir = f"--workdir={tmp_path / 'run'}"
    assert "8x8x1" in refused(start, workdir, data(tmp_path / "size.npz", size=12))
    assert "10 classes" in refused(start, workdir, data(tmp_path / "few.npz", classes=4))
    assert "not a finished run" in refused(f"--init_from={tmp_path}", workdir)
    assert "left --fold=2 out" in refused(start, workdir, "--fold=1")
    assert "left --fold=2 out" in refused(start, workdir)
    assert "needs --init_from" in refused("--epochs=0", workdir)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("classes", "images", "batch", "message"),
    [(1, 40, 8, "only one class"), (10, 40, 1, "at least 2"), (20, 40, 4, "one of each")],
)
def test_batches_without_a_contrast_are_refused(tmp_path, classes, images, batch, message):
    spec = data(tmp_path / "data.npz", classes=classes, images=images)
    extra = ["--train_examples=20"] if classes == 20 else []
    flags = [spec, "--backbone=small(width=2)", f"--batch_size={batch}", *extra]
    stderr = refused("--method=supcon", *flags, f"--workdir={tmp_path / 'run'}")
    assert message in stderr
    assert not (tmp_path / "run").exists()


def test_a_radius_beyond_every_image_is_refused(tmp_path):
    stderr = refused("--norm=l2", "--epsilon=9", f"--workdir={tmp_path / 'run'}")
    assert "no two images" in stderr


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, ""),
        ({"onednn": "other"}, "oneDNN unknown, "),
        ({"onednn_max_cpu_isa": "AVX2"}, "capped at AVX2"),
        ({"instruction_set": "AMX"}, "AMX"),
    ],
)
def test_a_run_that_continues_on_other_kernels_says_so(tmp_path, capsys, monkeypatch, change, told):
    monkeypatch.delenv(onednn.LIMIT, raising=False)
    workdir = Workdir(tmp_path / "run")
    train._compare_processors(workdir)  # a run that begins
    workdir.begin(resolved(), {**DATA, "processor": {**onednn.describe(), **change}})
    train._compare_processors(workdir)
    printed = capsys.readouterr().out
    if not change:
        assert printed == ""
        return
    assert printed.startswith("warning: this run began with oneDNN")
    assert told in printed
    assert f"here it is {onednn.in_words(onednn.describe())}" in printed
    assert "last bits may differ" in printed
