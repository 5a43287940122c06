"""The model card says what was measured, and claims nothing beyond it."""

import pytest

from anchor_tf.reports import model_card


@pytest.fixture
def report():
    """A report as evaluation builds it, of figures made up for the test."""
    return {
        "method": "pgd_at",
        "backbone": "small",
        "parameters": 264362,
        "image_shape": [8, 8, 1],
        "training_images": 1293,
        "training": {
            "method": "pgd_at", "dataset": "digits", "epochs": 30, "seed": 4, "norm": "linf",
            "epsilon": 0.1,
        },
        "commands": ["python -m anchor_tf.train --method=pgd_at"],
        "dataset": "digits",
        "split": "test",
        "examples": 360,
        "norm": "linf",
        "epsilon": 0.1,
        "clean": {"accuracy": 357 / 360},
        "attacks": {"fgsm": {"accuracy": 0.9}, "pgd(steps=20)": {"accuracy": 0.8}},
        "worst_case": {"accuracy": 278 / 360},
        "warnings": [],
        "versions": {"anchor_tf": "0.1.0"},
        "classes": {
            "zero": {"examples": 180, "clean": 1.0, "worst_case": 0.9},
            "one": {"examples": 180, "clean": 1.0, "worst_case": 0.5},
        },
        "confusions": [{"class": "one", "answer": "zero", "examples": 90, "share": 0.5}],
        "curve": {"attack": "pgd(steps=20)", "points": [[0.0, 0.99], [0.1, 0.8], [0.2, 0.12]]},
        "curve_examples": 200,
    }  # fmt: skip


def test_it_says_what_was_measured(report):
    card = model_card.render(report)
    for part in (
        "# Model card: `pgd_at` on `digits`",
        "grey images of 8x8 pixels which of these classes they show: `zero`, `one`.",
        "357 of 360 images right, 99.2 % (95 % interval 97.6 to 99.7)",
        "lighter or darker by 0.1 of the way from black to white: 278 of 360 images right, 77.2 %",
        "weakest class under attack is `one`: 90 of 180 images right",
        "`one` taken for `zero`, 90 times",
        "at L-inf 0.2 it was right on 12.0 % of 200 images under `pgd(steps=20)`",
        "1,293 images of `digits` for 30 epochs, with the threat L-inf epsilon 0.1 and seed 4",
        "`python -m anchor_tf.train --method=pgd_at`",
        "- none",
    ):
        assert part in card, part


def test_it_names_the_norm_that_nobody_tried(report):
    assert "(L2). Not measured" in model_card.render(report)
    assert "(L-inf). Not measured" not in model_card.render(report)
    report |= {"norm": "l2", "epsilon": 0.5}
    card = model_card.render(report)
    assert "(L-inf). Not measured" in card
    assert "change the pixels by 0.5 in all (L2" in card
    sweep = [{**report, "norm": norm, "epsilon": 0.1} for norm in ("linf", "l2")]
    assert "(L" not in "".join(
        line for line in model_card.render({**report, "sweep": sweep}).splitlines()
        if "Not measured" in line
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "ran"),
    [
        ("cw", False),
        ("autoattack", True),
        ("autoattack(version=plus)", True),
        ("autoattack(version=standard)", True),
        ("autoattack(version=rand)", False),
        ("autoattack_of_mine", False),
    ],
)
def test_autoattack_is_missed_only_where_it_did_not_run(report, text, ran):
    report["attacks"][text] = {"accuracy": 0.7}
    card = model_card.render(report)
    assert ("AutoAttack, the usual yardstick, was not run" in card) != ran
    assert "every figure under attack is an upper limit" in card


@pytest.mark.parametrize("change", [{"attacks": {}}, {"epsilon": 0.0}])
def test_without_an_attack_it_recommends_no_use_under_attack(report, change):
    card = model_card.render({**report, **change})
    assert "nobody tampers with the pixels: no attack was measured" in card
    assert "Against an attacker" not in card


def test_a_model_that_falls_is_not_recommended(report):
    report["worst_case"]["accuracy"] = 90 / 360
    assert "of the attacked images it got more than half wrong, 75.0 %" in model_card.render(report)


def test_an_unknown_model_is_called_so(report):
    for key in ("method", "backbone", "parameters", "training", "commands", "image_shape",
                "training_images", "classes", "confusions", "curve", "curve_examples"):  # fmt: skip
        del report[key]
    card = model_card.render({**report, "model": "some.keras", "warnings": ["odd"]})
    assert "# Model card: `some.keras` on `digits`" in card
    assert "How it was trained is not known" in card
    assert "- odd" in card
    assert "Larger" not in card
    assert "Changes larger than those measured above" in card


def test_names_cannot_change_the_page(report):
    report["classes"]["`\n# <b>x"] = {"examples": 10, "clean": 1.0, "worst_case": 0.0}
    card = model_card.render(report)
    assert "`` ` # <b>x ``" in card
    assert "\n# <b>" not in card
