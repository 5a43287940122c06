"""Means, deviations and differences of fabricated runs, in all three forms of the table."""

import csv
import json

import numpy as np
import pytest

from anchor_tf.studies import table, table_files

MACHINE = {"processor": "a processor", "cores": 2, "threads": 1, "gpus": []}


@pytest.fixture
def results(fabricate):
    facts = {"parameters": 1234, "image_passes": 5000}
    return {
        "ce": [
            fabricate("ce", 0, [1, 0, 0, 0], training_seconds=10.0, **facts),
            fabricate("ce", 1, [1, 1, 0, 0], training_seconds=14.0, **facts),
            fabricate("ce", 2, [1, 1, 1, 0], training_seconds=12.0, **facts),
        ],
        "anchor(beta=0)": [fabricate("anchor", 0, [1, 1, 0, 0])],
        "pgd_at": [],
    }


def test_rows(results):
    ce, anchor, pgd_at = table.rows(results, {"pgd_at": 3})
    assert (ce["runs"], ce["failures"], ce["epochs"], ce["parameters"]) == ([0, 1, 2], 0, 3, 1234)
    worst_case = ce["accuracies"]["worst case"]
    assert worst_case["mean"] == pytest.approx(0.5, abs=1e-12)
    deviation = float(np.std([0.25, 0.5, 0.75], ddof=1))
    assert worst_case["std"] == pytest.approx(deviation, abs=1e-12)
    assert ce["accuracies"]["clean"]["mean"] == pytest.approx(0.91, abs=1e-12)
    assert worst_case["values"] == [0.25, 0.5, 0.75]
    assert ce["training_seconds"] == {"values": [10.0, 14.0, 12.0], "mean": 12.0, "std": 2.0}
    assert ce["attack_seconds"] == {"values": [4.0, 4.0, 4.0], "mean": 4.0, "std": 0.0}
    assert ce["difference"] is None
    assert list(ce["accuracies"]) == ["clean", "fgsm", "pgd(steps=20)", "worst case"]
    assert anchor["accuracies"]["worst case"] == {"values": [0.5], "mean": 0.5, "std": None}
    assert (anchor["parameters"], anchor["training_seconds"]["mean"]) == (None, None)
    # Against seed 0 of ce alone, the only one both have.
    assert (anchor["difference"]["difference"], anchor["difference"]["runs"]) == (0.25, 1)
    assert (pgd_at["runs"], pgd_at["failures"], pgd_at["accuracies"]) == ([], 3, {})


def test_without_outcomes_there_is_no_difference(fabricate):
    results = {
        "ce": [fabricate("ce", 0, [1, 0], outcomes=False)],
        "pgd_at": [fabricate("pgd_at", 0, [1, 1])],
    }
    assert [row["difference"] for row in table.rows(results, {})] == [None, None]


def test_files(results, tmp_path):
    rows = table.rows(results, {"pgd_at": 3})
    shared = table.facts("digits, linf", "python -m anchor_tf.study", results)
    assert (shared["examples"], shared["machine"]) == (4, MACHINE)
    text = table_files.write(tmp_path / "study", shared, rows, ["a warning"])
    written = {path.name: path.read_text() for path in (tmp_path / "study").iterdir()}
    assert set(written) == {"table.md", "table.csv", "table.json"}
    assert written["table.md"] == text
    title, _, command, _, header, _, ce, anchor, pgd_at, *_ = text.splitlines()
    assert (title, command) == ("digits, linf", "    python -m anchor_tf.study")
    assert "4 test examples. Machine: a processor, 1 of 2 cores a run, no GPU." in text
    assert [len(line) for line in (ce, anchor, pgd_at)] == [len(header)] * 3
    assert [cell.strip() for cell in ce.strip("|").split("|")] == [
        "ce",
        "3",
        "91.0 ± 1.0",
        "50.0 ± 25.0",
        "50.0 ± 25.0",
        "50.0 ± 25.0",
        "-",
        "3",
        "5,000",
        "12",
        "4",
        "0",
    ]
    assert "| +25.0 (" in anchor.replace("  ", " ")
    assert "warning: a warning" in text
    assert json.loads(written["table.json"]) == {
        **shared,
        "methods": rows,
        "warnings": ["a warning"],
    }
    lines = list(csv.DictReader(written["table.csv"].splitlines()))
    assert [line["method"] for line in lines] == list(results)
    assert float(lines[0]["worst case std"]) == pytest.approx(0.25, abs=1e-12)
    assert lines[1]["worst case std"] == lines[2]["clean mean"] == ""


def test_the_last_epochs_stand_beside_the_best(results, fabricate):
    assert "last epoch" not in table_files.markdown(*_shared_and_rows(results))
    last = {"worst_case": {"accuracy": 0.375}}
    results["pgd_at"] = [fabricate("pgd_at", 0, [1, 1, 0, 1], last=last)]
    text = table_files.markdown(*_shared_and_rows(results))
    _, _, _, _, header, _, ce, _, pgd_at, *_ = (line.split("|") for line in text.splitlines())
    place = [cell.strip() for cell in header].index("worst case, last epoch %")
    assert header[place - 1].strip() == "worst case %"
    assert [line[place].strip() for line in (ce, pgd_at)] == ["-", "37.5"]
    assert pgd_at[place - 1].strip() == "75.0"


def _shared_and_rows(results):
    return table.facts("title", "command", results), table.rows(results, {})


def test_what_runs_do_not_share_is_not_told(results, fabricate):
    results["pgd_at"] = [fabricate("pgd_at", 0, [1, 0], machine={**MACHINE, "threads": 2})]
    shared = table.facts("title", "command", results)
    assert (shared["examples"], shared["machine"]) == (None, None)
    empty = table.facts("title", "command", {"ce": []})
    assert (empty["examples"], empty["machine"]) == (None, None)


def test_images_left_out_of_training_are_not_called_test_examples(fabricate):
    split = "fold 0 of the training images"
    results = {"ce": [fabricate("ce", 0, [1, 0], split=split)]}
    assert "2 held-out training examples." in table_files.markdown(*_shared_and_rows(results))


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ((2, 2), "alone and do not speak of other seeds"),
        ((3, 3), "or by Student's t over the runs, whichever is wider"),
        ((3, 2), "or, from 3 common runs on, by Student's t over them if that is wider"),
    ],
)
def test_what_the_intervals_rest_on(fabricate, runs, said):
    counts = dict(zip(("ce", "anchor", "pgd_at"), (3, *runs), strict=True))
    results = {
        method: [fabricate(method, number, [1, 0, number % 2]) for number in range(count)]
        for method, count in counts.items()
    }
    assert said in table_files.markdown(*_shared_and_rows(results))


def test_runs_evaluated_unalike_are_pointed_out(results, fabricate):
    assert table.warnings(results) == []
    results["pgd_at"] = [fabricate("pgd_at", 0, [1, 0, 0, 0], epsilon=0.2)]
    (warning,) = table.warnings(results)
    assert warning.endswith("differ in epsilon")


@pytest.mark.parametrize(
    ("facts", "named", "paired"),
    [
        ({"dataset": "npz(path=other.npz)"}, "dataset", 2),
        ({"split": "fold 1 of the training images"}, "split", 2),
        ({"seed": 5}, "seed", 3),  # of the attacks: the same images all the same
    ],
)
def test_other_images_are_pointed_out_and_not_paired(fabricate, facts, named, paired):
    def runs(method, **changes):
        common = {"dataset": "digits", "split": "test"}
        return [
            fabricate(method, n, [1, 0, n, 0], **{**common, "seed": n, **(changes if n else {})})
            for n in range(2)
        ] + [fabricate(method, 2, [1, 0, 0, 0], **common, seed=2)]

    results = {"ce": runs("ce"), "pgd_at": runs("pgd_at")}
    assert table.warnings(results) == []
    assert table.rows(results, {})[1]["difference"]["runs"] == 3
    results["trades"] = runs("trades", **facts)
    (warning,) = table.warnings(results)
    assert warning.endswith(f"differ in {named}")
    assert table.rows(results, {})[2]["difference"]["runs"] == paired
