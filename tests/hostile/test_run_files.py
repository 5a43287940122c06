"""What a workdir holds, from anyone: whole, or refused in one line."""

import json

import pytest

from anchor_tf import config
from anchor_tf.reports import report_file
from tests.hostile.refusals import refuse

BAD_CONFIGS = {
    "epsilon": ["large", None, True, float("nan"), float("inf"), [0.1]],
    "dataset": [None, 5, ["digits"]],
    "epochs": ["1", 1.5, None, True],
    "fold": ["0", 0.5],
    "init_from": [3],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in BAD_CONFIGS.items() for v in vs])
def test_values_of_wrong_types_in_a_configuration(run, tmp_path, name, value):
    content = json.loads((run / "config.json").read_text())
    content["train"][name] = value
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content))
    refuse(config.load, path, named=f"config.json is damaged: {name}")


@pytest.mark.parametrize(
    "text", ["", "null", "5", "[]", '"x"', '{"version": 2, "train": 5}', "[" * 100_000, "\x00"]
)
def test_configurations_that_are_none(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text)
    refuse(config.load, path, named="config.json")
    path.write_bytes(b"\xff\xfe" + text[:50].encode())
    refuse(config.load, path, named="config.json")


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"image_shape": [8, 8], "class_names": ["a", "b"]},
        {"image_shape": [8, 8, -1], "class_names": ["a", "b"]},
        {"image_shape": "881", "class_names": ["a", "b"]},
        {"image_shape": [8, 8, 1.0], "class_names": ["a", "b"]},
        {"image_shape": [8, 8, 1], "class_names": ["a"]},
        {"image_shape": [8, 8, 1], "class_names": ["a", 2]},
        {"image_shape": [8, 8, 1], "class_names": 10},
    ],
)
def test_facts_that_are_wrong(tmp_path, facts):
    refuse(config.image_facts, tmp_path / "config.json", facts, named="config.json is damaged")


REPORT = {
    "dataset": "digits", "split": "test", "examples": 10, "norm": "linf", "epsilon": 0.1,
    "clean": {"accuracy": 0.5}, "attacks": {"fgsm": {"accuracy": 0.25, "seconds": 1.0}},
    "worst_case": {"accuracy": 0.25}, "warnings": [], "parameters": 12,
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"examples": 0},
        {"examples": "10"},
        {"norm": "l7"},
        {"epsilon": -1},
        {"epsilon": None},
        {"clean": 0.5},
        {"clean": {}},
        {"clean": {"accuracy": 1.5}},
        {"attacks": []},
        {"attacks": {"fgsm": {"accuracy": "1"}}},
        {"worst_case": {"accuracy": float("nan")}},
        {"warnings": [1]},
        {"sweep": [{}]},
        {"sweep": 5},
        {"last": {}},
        {"parameters": "many"},
        {"curve": {"points": [["a", 1]]}},
    ],
)
def test_reports_that_are_wrong(tmp_path, change):
    path = tmp_path / "report.json"
    path.write_text(json.dumps(REPORT))
    assert report_file.read(path) == REPORT
    path.write_text(json.dumps(REPORT | change))
    refuse(report_file.read, path, named="report.json is damaged")


def test_a_damaged_report_does_not_keep_from_another(tmp_path, capsys):
    path = tmp_path / "report.json"
    assert report_file.of_training(path) == {}
    path.write_text(json.dumps(REPORT | {"parameters": 7, "epochs": 3}))
    assert report_file.of_training(path) == {"parameters": 7, "epochs": 3}
    path.write_text("{")
    assert report_file.of_training(path) == {}
    assert "warning: what the training took is not known" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "[" * 100_000, "\x00"])
def test_reports_that_are_none(tmp_path, text):
    path = tmp_path / "report.json"
    path.write_text(text)
    refuse(report_file.read, path, named="report.json is damaged")
