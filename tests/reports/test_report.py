"""The report's contract: keys and types, atomic replacement, history, and its readable forms."""

import dataclasses
import json
import pathlib
import re

import numpy as np
import pytest

from anchor_tf.evaluation.runner import evaluate
from anchor_tf.evaluation.trial import NOT_FINITE
from anchor_tf.files import atomic
from anchor_tf.reports import html_report, markdown, rendering, report
from anchor_tf.threat import Threat

KEYS = {
    "dataset": str,
    "split": str,
    "examples": int,
    "norm": str,
    "epsilon": float,
    "clean": dict,
    "attacks": dict,
    "worst_case": dict,
    "warnings": list,
    "seed": int,
    "versions": dict,
}


@pytest.fixture(scope="module")
def evaluations(network, images, labels, parse):
    attacks = parse("fgsm", "pgd(steps=3, restarts=2)")
    return [
        evaluate(network, images, labels, attacks, threat, keep_examples=True)
        for threat in (Threat("linf", 8 / 255), Threat("l2", 0.5))
    ]


def _build(evaluations, **options):
    return report.build(evaluations, dataset="digits", split="test", seed=0, **options)


def test_contract(evaluations):
    built = _build(evaluations[:1])
    assert list(built) == list(KEYS)
    assert all(type(built[key]) is kind for key, kind in KEYS.items())
    assert (built["dataset"], built["split"], built["examples"]) == ("digits", "test", 103)
    assert (built["norm"], built["epsilon"]) == ("linf", 8 / 255)
    assert built["clean"] == {"accuracy": 82 / 103}
    assert list(built["attacks"]) == ["fgsm", "pgd(steps=3,restarts=2)"]
    for entry, result in zip(built["attacks"].values(), evaluations[0].attacks, strict=True):
        assert list(entry) == ["accuracy", "seconds", "settings"]
        assert entry["accuracy"] == result.robust.mean()
        assert entry["seconds"] > 0.0
        assert entry["settings"] == result.settings
    assert built["worst_case"] == {"accuracy": evaluations[0].robust.mean()}
    assert set(built["versions"]) == {"anchor_tf", "tensorflow", "keras", "numpy", "python"}
    assert json.loads(json.dumps(built)) == built


def test_sweep_holds_all_and_the_first_stands_on_top(evaluations):
    built = _build(evaluations)
    assert [(entry["norm"], entry["epsilon"]) for entry in built["sweep"]] == [
        ("linf", 8 / 255),
        ("l2", 0.5),
    ]
    for key in ("norm", "epsilon", "clean", "attacks", "worst_case"):
        assert built[key] == built["sweep"][0][key]
    assert built["sweep"][1]["worst_case"]["accuracy"] == evaluations[1].robust.mean()


def test_curve_classes_and_extra(evaluations):
    names = ["no", "one", "two", "three"]
    points = [(0.0, 0.9), (0.1, 0.5)]
    built = _build(
        evaluations[:1], class_names=names, curve=("fgsm", points), extra={"method": "anchor"}
    )
    assert built["method"] == "anchor"
    assert built["curve"] == {"attack": "fgsm", "points": [[0.0, 0.9], [0.1, 0.5]]}
    first = evaluations[0]
    assert sum(entry["examples"] for entry in built["classes"].values()) == 103
    of_ones = first.labels == 1
    assert built["classes"]["one"] == {
        "examples": of_ones.sum(),
        "clean": first.clean_correct[of_ones].mean(),
        "worst_case": first.robust[of_ones].mean(),
    }


def test_confusions(evaluations):
    names = ["no", "one", "two", "three"]
    first = evaluations[0]
    built = _build([first], class_names=names)["confusions"]
    counted = {
        (names[label], names[answer]): int(
            np.sum((first.labels == label) & (first.predictions == answer))
        )
        for label in range(4)
        for answer in range(4)
        if label != answer
    }
    assert {
        (one["class"], one["answer"]): one["examples"] for one in built
    }.items() <= counted.items()
    examples = [one["examples"] for one in built]
    assert examples == sorted(counted.values(), reverse=True)[: len(built)]
    assert 0 < len(built) <= 10
    assert min(examples) > 0
    for one in built:
        assert one["share"] == one["examples"] / np.sum(first.labels == names.index(one["class"]))


def test_logits_that_are_not_finite_are_no_confusion(evaluations):
    first = dataclasses.replace(
        evaluations[0],
        labels=np.array([0, 0, 3, 3]),
        predictions=np.array([NOT_FINITE, 1, NOT_FINITE, 3]),
        clean_correct=np.ones(4, bool),
        clean_predictions=np.array([0, 0, 3, 3]),
        robust=np.array([False, False, False, True]),
    )
    built = _build([first], class_names=["no", "one", "two", "three"])["confusions"]
    assert built == [{"class": "no", "answer": "one", "examples": 1, "share": 0.5}]


def test_outcomes(evaluations, tmp_path):
    indices = np.arange(103)[::-1] * 2
    outcomes = report.outcomes(evaluations[0], indices)
    path = report.write(_build(evaluations), tmp_path, outcomes)
    with np.load(tmp_path / "outcomes.npz", allow_pickle=False) as file:
        kept = dict(file)
    kinds = {name: (array.dtype.kind, array.shape) for name, array in kept.items()}
    assert kinds == {
        "labels": ("i", (103,)),
        "indices": ("i", (103,)),
        "clean": ("b", (103,)),
        "attacks": ("U", (2,)),
        "robust": ("b", (2, 103)),
        "worst_case": ("b", (103,)),
    }
    assert (kept["labels"].dtype, kept["indices"].dtype) == (np.int32, np.int64)
    np.testing.assert_array_equal(kept["indices"], indices)
    built = json.loads(path.read_text())
    assert kept["clean"].mean() == built["clean"]["accuracy"]
    assert kept["worst_case"].mean() == built["worst_case"]["accuracy"]
    for text, robust in zip(kept["attacks"], kept["robust"], strict=True):
        assert robust.mean() == built["attacks"][text]["accuracy"]
    np.testing.assert_array_equal(kept["worst_case"], kept["clean"] & kept["robust"].all(axis=0))


def test_outcomes_without_attacks(network, images, labels, tmp_path):
    evaluation = evaluate(network, images, labels, [], Threat("linf", 0.1))
    outcomes = report.outcomes(evaluation, np.arange(103))
    report.write(_build([evaluation]), tmp_path, outcomes)
    with np.load(tmp_path / "outcomes.npz", allow_pickle=False) as file:
        assert (file["attacks"].shape, file["robust"].shape) == ((0,), (0, 103))
        np.testing.assert_array_equal(file["worst_case"], evaluation.clean_correct)


def test_last_epoch(evaluations):
    built = _build(evaluations[:1], last=dataclasses.replace(evaluations[1], warnings=("odd",)))
    assert list(built["last"]) == ["norm", "epsilon", "clean", "attacks", "worst_case"]
    assert built["last"] == _build(evaluations)["sweep"][1]
    assert built["warnings"] == ["weights of the last epoch: odd"]
    best, last = (evaluation.worst_case_accuracy for evaluation in evaluations)
    assert best != last
    assert (
        f"| worst case | {100 * best:.2f} | {100 * last:.2f} | {100 * (last - best):+.2f} |"
        in markdown.render(built)
    )
    block = rendering.table(built).split("\n\n")[-1]
    assert block == (
        f"weights of the last epoch: clean 79.61 %, worst case {100 * last:.2f} % "
        "under L2 epsilon 0.5"
    )


def test_warnings_of_a_sweep_say_where(evaluations):
    first, second = (
        dataclasses.replace(evaluation, warnings=warnings)
        for evaluation, warnings in zip(evaluations, (("all", "one"), ("two", "all")), strict=True)
    )
    assert _build([first, second], warnings=["more"])["warnings"] == [
        "all",
        "L-inf epsilon 8/255: one",
        "L2 epsilon 0.5: two",
        "more",
    ]
    assert _build([first])["warnings"] == ["all", "one"]


def test_representation_is_rendered(evaluations):
    measures = {
        "knn": {"clean": 0.75, "attacked": 0.25},
        "linear_probe": {"clean": 0.8, "attacked": 0.3},
        "alignment": 0.5,
        "uniformity": -1.25,
        "intra_class_distance": None,
        "inter_class_distance": 1.125,
        "adversarial_shift": 0.0625,
        "training_examples": 77,
        "examples": 50,
        "k": 10,
    }
    built = _build(evaluations[:1], representation=measures)
    assert built["representation"] == measures
    text = markdown.render(built)
    for part in (
        "features of 50 of the examples, read by neighbours and a probe that know 77 clean",
        "| 10 nearest neighbours | 75.00 | 25.00 |",
        "| linear probe | 80.00 | 30.00 |",
        "| none | 1.125 | 0.062 | 0.500 | -1.250 |",
    ):
        assert part in text
    assert "Representation" not in markdown.render(_build(evaluations[:1]))


def test_a_probe_that_was_left_out_is_told(evaluations):
    measures = {
        "knn": {"clean": 0.75, "attacked": 0.25},
        "linear_probe": None,
        "left_out": "No linear probe was trained: with 2,000 classes it would take minutes.",
        "alignment": 0.5,
        "uniformity": -1.25,
        "intra_class_distance": 1.0,
        "inter_class_distance": 1.125,
        "adversarial_shift": 0.0625,
        "training_examples": 77,
        "examples": 50,
        "k": 10,
    }
    built = _build(evaluations[:1], representation=measures)
    for text in (markdown.render(built), html_report.render(built, pathlib.Path("nowhere"))):
        assert measures["left_out"] in text
        assert "10 nearest neighbours" in text
        assert "linear probe" not in text.replace(measures["left_out"], "")


def test_sweep_begins_with_an_overview(evaluations):
    text = markdown.render(_build(evaluations, curve=("fgsm", [(0.0, 0.9)])))
    overview = text.split("## Overview")[1].split("##")[0]
    for evaluation, threat in zip(
        evaluations, ("L-inf epsilon 8/255", "L2 epsilon 0.5"), strict=True
    ):
        cells = [evaluation.clean_accuracy, *(one.accuracy for one in evaluation.attacks)]
        cells.append(evaluation.worst_case_accuracy)
        assert f"| {threat} | {' | '.join(f'{100 * cell:.2f}' for cell in cells)} |" in overview
    assert "is of the first, L-inf epsilon 8/255" in overview
    assert "Overview" not in markdown.render(_build(evaluations[:1]))


def test_without_an_attack_there_is_no_worst_case(network, images, labels, tmp_path):
    evaluation = evaluate(network, images, labels, [], Threat("linf", 0.1), keep_examples=True)
    built = _build(
        [evaluation], class_names="abcd", curve=("fgsm", [(0.0, 0.9), (0.1, 0.5)]), last=evaluation
    )
    report.write(built, tmp_path)
    texts = [rendering.table(built)]
    texts += [(tmp_path / f"report.{ending}").read_text() for ending in ("md", "html")]
    for text in texts:
        assert "worst case" not in text.lower()
        assert "clean" in text
    for text in texts[1:]:
        assert "No attack was run" in text
        assert "survives every attack" not in text


def test_former_reports_are_kept_and_numbered(evaluations, tmp_path):
    built = _build(evaluations[:1])
    for seed in range(4):
        if seed == 3:
            (tmp_path / "reports" / "0.json").unlink()
        path = report.write({**built, "seed": seed}, tmp_path)
        assert path == tmp_path / "report.json"
        assert json.loads(path.read_text())["seed"] == seed
    kept = {file.name: json.loads(file.read_text()) for file in (tmp_path / "reports").iterdir()}
    assert {name: former["seed"] for name, former in kept.items()} == {"1.json": 1, "2.json": 2}
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "model_card.md",
        "report.html",
        "report.json",
        "report.md",
        "reports",
    ]


def test_a_failed_write_leaves_the_former_report(evaluations, tmp_path, monkeypatch):
    built = _build(evaluations[:1])
    path = report.write(built, tmp_path)
    before = path.read_bytes()

    def full_disk(_):
        raise OSError("no space left on device")

    with pytest.raises(TypeError):
        report.write({**built, "seed": np.int64(1)}, tmp_path)
    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        report.write({**built, "seed": 1}, tmp_path)
    assert path.read_bytes() == before
    files = sorted(file.name for file in tmp_path.rglob("*") if file.is_file())
    assert files == ["model_card.md", "report.html", "report.json", "report.md"]


def test_examples(evaluations, images, tmp_path):
    path = tmp_path / "deep" / "examples.npz"
    report.save_examples(path, evaluations[0], images)
    with np.load(path) as file:
        examples = dict(file)
    assert set(examples) == {"x", "y", "x_adv", "robust"}
    assert examples["x"].dtype == examples["x_adv"].dtype == np.float32
    assert examples["x"].shape == examples["x_adv"].shape == (103, 6, 6, 1)
    assert examples["robust"].dtype == bool
    np.testing.assert_array_equal(examples["x"], images / np.float32(255.0))
    np.testing.assert_array_equal(examples["y"], evaluations[0].labels)
    np.testing.assert_array_equal(examples["robust"], evaluations[0].robust)
    moved = np.abs(examples["x_adv"] - examples["x"]).max(axis=(1, 2, 3))
    assert 0.0 < moved.max() <= 8 / 255 + 1e-6
    np.testing.assert_array_equal(moved == 0.0, ~evaluations[0].clean_correct)
    assert [file.name for file in path.parent.iterdir()] == ["examples.npz"]


def test_examples_must_have_been_kept(network, images, labels, tmp_path):
    evaluation = evaluate(network, images, labels, [], Threat("linf", 0.1))
    with pytest.raises(ValueError, match="keep_examples"):
        report.save_examples(tmp_path / "examples.npz", evaluation, images)


@pytest.mark.parametrize(
    ("correct", "examples", "lower", "upper"),
    [
        # Newcombe 1998, Statistics in Medicine 17, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_wilson_interval(correct, examples, lower, upper):
    assert rendering.wilson_interval(correct, examples) == pytest.approx((lower, upper), abs=6e-5)


def test_table_is_aligned(evaluations):
    built = _build(evaluations)
    blocks = rendering.table(built).split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == [
        "digits test, 103 examples, L-inf epsilon 8/255",
        "digits test, 103 examples, L2 epsilon 0.5",
    ]
    lines = blocks[0].splitlines()[1:]
    assert [line.split("  ")[0] for line in lines] == [
        "",
        "clean",
        "fgsm",
        "pgd(steps=3,restarts=2)",
        "worst case",
    ]
    assert {match.end() for line in lines[1:] for match in re.finditer(r"\d+/103", line)} == {
        lines[0].index("correct") + len("correct")
    }
    assert lines[1].split() == ["clean", "79.61", "70.8", "to", "86.3", "82/103"]
    assert rendering.table(json.loads(json.dumps(built))) == rendering.table(built)


def test_markdown_tells_all(evaluations, tmp_path):
    built = _build(
        evaluations[:1],
        class_names=["no", "one", "two", "three"],
        curve=("fgsm", [(0.0, 0.9)]),
        extra={"method": "trades(beta=6)"},
    )
    built["warnings"] = ["gradients may be masked"]
    report.write(built, tmp_path)
    text = (tmp_path / "report.md").read_text()
    for part in (
        "`trades(beta=6)` on the test split of `digits`, 103 examples, with seed 0",
        "| clean | 79.61 | 70.8 to 86.3 | 82/103 |  |",
        "- `pgd(steps=3,restarts=2)` at L-inf 8/255: steps 3, step_size 0.0261438, restarts 2,",
        "![Accuracy under fgsm against epsilon](plots/accuracy_against_epsilon.png)",
        "| class | examples | clean % | worst case % |",
        "- gradients may be masked",
    ):
        assert part in text
    bare = markdown.render(_build(evaluations[:1]))
    assert "plots/" not in bare
    assert "## Classes" not in bare
    assert "- none" in bare


@pytest.mark.parametrize(
    ("norm", "epsilon", "text"),
    [
        ("linf", 8 / 255, "8/255"),
        ("linf", 1.5 / 255, "1.5/255"),
        ("linf", 0.003, "0.003"),
        ("linf", 0.031, "0.031"),
        ("linf", 0.0, "0"),
        ("linf", 1.0, "1"),
        ("linf", 0.3, "0.3"),
        ("l2", 51 / 255, "0.2"),
    ],
)
def test_format_epsilon(norm, epsilon, text):
    assert rendering.format_epsilon(norm, epsilon) == text


def test_report_json_is_written_last(evaluations, tmp_path, monkeypatch):
    placed, place = [], atomic.put_in_place

    def noted(temporary, path):
        placed.append(path.name)
        place(temporary, path)

    monkeypatch.setattr(atomic, "put_in_place", noted)
    outcomes = report.outcomes(evaluations[0], np.arange(103))
    report.write(_build(evaluations[:1]), tmp_path, outcomes)
    assert len(placed) == 5
    assert placed[-1] == "report.json"
