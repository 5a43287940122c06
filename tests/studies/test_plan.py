"""The runs of a study and their flags; the record that keeps studies apart."""

import dataclasses
import fcntl
import json
import os

import numpy as np
import pytest

from anchor_tf import specs
from anchor_tf.config import TrainConfig
from anchor_tf.errors import UserError
from anchor_tf.pipelines.sources.digits import digits
from anchor_tf.studies import entries, plan
from anchor_tf.studies.record import Record
from anchor_tf.workdir import Workdir

RECIPE = {
    **{field.name: None for field in dataclasses.fields(TrainConfig)},
    **dataclasses.asdict(digits().recipe),
}
FLAGS = {
    "dataset": "digits",
    "seeds": 2,
    "cross_validate": False,
    "norm": ["linf"],
    "given": {"attacks": "--attacks=fgsm", "workdir": "--workdir=study", "augment": ""},
}


def parse_flag(name, text):
    return text if name == "augment" else int(text)


def compared(text):
    return entries.check(specs.split(text), parse_flag)


def complete(flags):
    return TrainConfig.resolve(flags, RECIPE)


def test_runs_go_seed_by_seed(tmp_path):
    methods = compared("ce, anchor(beta=0, head=fresh)")
    runs = plan.plan(methods, tmp_path, FLAGS, complete)
    names = ["ce/seed_{}", "anchor_beta=0_head=fresh/seed_{}"]
    assert [run.name for run in runs] == [name.format(seed) for seed in (0, 1) for name in names]
    assert runs[3].arguments == (
        "--method=anchor(beta=0,head=fresh)",
        "--seed=1",
        f"--workdir={tmp_path}/anchor_beta=0_head=fresh/seed_1",
        "--attacks=fgsm",
    )
    assert (runs[3].config.method, runs[3].config.seed) == ("anchor(beta=0,head=fresh)", 1)
    assert not runs[3].finished


def test_a_run_that_was_continued_otherwise_is_still_the_study_s(tmp_path, monkeypatch):
    (run,) = plan.plan(compared("ce"), tmp_path, {**FLAGS, "seeds": 1}, complete)
    workdir = Workdir(run.folder)
    workdir.path.mkdir(parents=True)
    workdir.config.touch()
    monkeypatch.setattr(Workdir, "finished", True)

    def continued(**changes):
        present = dataclasses.replace(run.config, **changes)
        monkeypatch.setattr("anchor_tf.workdir.config.load", lambda _: (present, {}))
        return run.finished

    assert continued()
    assert continued(on_divergence="skip", validate_every=7)
    with pytest.raises(UserError, match=r"holds another run: --learning_rate=0.7 \(now"):
        continued(learning_rate=0.7)
    for epochs in (run.config.epochs - 1, run.config.epochs + 1):
        with pytest.raises(UserError, match=f"holds another run: --epochs={epochs} "):
            continued(epochs=epochs)


def test_runs_that_have_begun_on_other_data_are_not_gone_on_with(tmp_path, monkeypatch):
    runs = plan.plan(compared("ce,pgd_at"), tmp_path, FLAGS, complete)
    data = digits()
    plan.check_data(runs, lambda _: data)
    begun = Workdir(runs[1].folder)
    begun.path.mkdir(parents=True)
    begun.config.touch()
    facts = {"data_sha256": data.digest()}
    monkeypatch.setattr("anchor_tf.workdir.config.load", lambda _: (runs[1].config, facts))
    plan.check_data(runs, lambda _: data)
    other = dataclasses.replace(data, test=data.test.take(np.arange(1, len(data.test))))
    with pytest.raises(UserError, match="pgd_at/seed_0 has begun on other data than --dataset"):
        plan.check_data(runs, lambda _: other)


def test_the_title_names_the_backbone_that_all_runs_share(tmp_path):
    for text, expected in (("ce,pgd_at", ", backbone small"), ("ce,ce --backbone=tiny", "")):
        methods = entries.check(specs.split(text), lambda name, text: text)
        runs = plan.plan(methods, tmp_path, FLAGS, complete)
        assert plan.title(runs, "linf", 0.1) == f"digits, linf epsilon 0.1{expected}"


def test_folds_take_the_place_of_seeds(tmp_path):
    runs = plan.plan(compared("ce"), tmp_path, {**FLAGS, "cross_validate": True}, complete)
    assert [run.name for run in runs] == [f"ce/fold_{fold}" for fold in range(5)]
    assert {"--fold=4", "--seed=4"} < set(runs[4].arguments)


def test_epochs_of_its_own_scale_warm_up_and_ramp(tmp_path):
    methods = compared("ce,pgd_at")
    own = {"epochs": 20, "warmup_epochs": 2.0, "ramp_epochs": 10.0}
    flags = {**FLAGS, **own, "given": {"epochs": "--epochs=20"}}
    _, pgd_at = plan.plan(methods, tmp_path, {**flags, "seeds": 1}, complete, [20, 2])
    assert {"--epochs=2", "--warmup_epochs=0.2", "--ramp_epochs=1.0"} < set(pgd_at.arguments)
    assert "--epochs=20" not in pgd_at.arguments
    assert (pgd_at.config.epochs, pgd_at.config.ramp_epochs) == (2, 1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("ce,ce", "alike"),
        ("anchor(beta=0),anchor(beta=0.0)", "alike"),
        ("anchor,anchor(beta=1)", "alike"),
        ("anchor(views=2,beta=0),anchor(beta=0)", "alike"),
        ("ce,ancor", "did you mean anchor"),
        ("ce --epochs=2,ce  --epochs=2", "alike"),
        ("ce --epochs", "--epochs after ce should be --FLAG=VALUE"),
        ("ce --epochs=two", "--epochs=two of ce: invalid literal"),
        ("ce --examples=5", "--examples is the same for all rows"),
        ("ce --workdir=here", "--workdir is set by the study"),
        ("ce --augment=crop\\", "the flags after ce: No escaped character"),
    ],
)
def test_methods_that_cannot_be_compared(text, message):
    with pytest.raises(UserError, match=message):
        compared(text)


@pytest.mark.parametrize(
    ("text", "alike"),
    [
        ("ce,ce --attack_steps=10", True),  # what the study gives all of them
        ("ce,ce --attack_steps=9", False),
        ("ce,pgd_at --attack_steps=10", False),
        ("ce,ce --virtual_devices=2", False),  # no part of the configuration
    ],
)
def test_entries_that_come_to_the_same_run_are_refused(tmp_path, text, alike):
    flags = {**FLAGS, "attack_steps": 10}
    if not alike:
        assert len(plan.plan(compared(text), tmp_path, flags, complete)) == 4
        return
    with pytest.raises(UserError, match="--methods: ce and ce --attack_steps=10 are alike"):
        plan.plan(compared(text), tmp_path, flags, complete)


def test_an_entry_has_flags_of_its_own(tmp_path):
    text = "ce,anchor( beta = 0 )  --attack_steps=3  --epochs=7"
    methods = compared(text)
    assert [entry.text for entry in methods] == [
        "ce",
        "anchor(beta=0) --attack_steps=3 --epochs=7",
    ]
    given = {"attack_steps": "--attack_steps=5", "attacks": "--attacks=fgsm"}
    _, anchor = plan.plan(methods, tmp_path, {**FLAGS, "given": given, "seeds": 1}, complete)
    assert anchor.name == "anchor_beta=0_attack_steps=3_epochs=7/seed_0"
    assert anchor.arguments == (
        "--attack_steps=3",
        "--epochs=7",
        "--method=anchor(beta=0)",
        "--seed=0",
        f"--workdir={tmp_path}/{anchor.name}",
        "--attacks=fgsm",
    )
    assert (anchor.config.attack_steps, anchor.config.epochs) == (3, 7)
    assert (anchor.method, anchor.config.method) == (methods[1].text, "anchor(beta=0)")


@pytest.mark.parametrize(
    "text", ["ce --augment='crop(padding=1),flip'", "ce --augment='crop( padding = 1 )'", "ce"]
)
def test_the_text_of_an_entry_gives_it_again(text):
    (entry,) = compared(text)
    assert compared(entry.text) == [entry]
    assert "'" not in entry.folder_name


def record(folder, methods="ce,pgd_at", seeds=2, **settings):
    return Record(folder, {"epochs": 2, "epsilon": 0.1, **settings}, compared(methods), seeds)


def test_a_study_may_grow_and_not_change(tmp_path):
    study = tmp_path / "study"
    first = record(study)
    with first.begun():
        first.failed("pgd_at/seed_0", 2, "error: no")
    (study / "ce" / "seed_0").mkdir(parents=True)
    (study / "ce" / "seed_0" / "report.json").write_text("{}")
    assert record(study).failures == {"pgd_at/seed_0": {"status": 2, "message": "error: no"}}
    record(study, "ce,pgd_at,anchor", 3)
    # A method that never finished may be dropped, and its failure with it.
    assert record(study, "ce,anchor").failures == {}
    for changes, message in [
        ({"epochs": 3}, r"--epochs=2 \(now 3\)"),
        ({"methods": "pgd_at"}, r"--methods=ce,pgd_at \(now pgd_at\)"),
        ({"seeds": 1}, r"--seeds=2 \(now 1\)"),
    ]:
        with pytest.raises(UserError, match=message) as caught:
            record(study, **changes)
        assert "epsilon" not in str(caught.value)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        record(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"methods": ["ce", "pgd_at"]},
        {"methods": {"ce": 1}},
        {"seeds": "3"},
        {"settings": [1]},
        {"failures": None},
    ],
)
def test_a_damaged_record_is_told(tmp_path, change):
    with record(tmp_path).begun():
        pass
    path = tmp_path / "study.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UserError, match="cannot be read as a study"):
        record(tmp_path)


def test_one_study_at_a_time(tmp_path):
    with record(tmp_path).begun() as lock:
        left_behind = os.dup(lock)
        with pytest.raises(UserError, match="in use by process"), record(tmp_path).begun():
            pass
    with pytest.raises(UserError, match="in use by process"), record(tmp_path).begun():
        pass
    fcntl.flock(left_behind, fcntl.LOCK_UN)
    os.close(left_behind)
    with record(tmp_path).begun():
        pass
