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
        "phases": {
            "train": {
                "epochs": 30, "attack": {"name": "pgd", "steps": 10, "at_most": False},
            },
        },
        "commands": ["python -m anchor_tf.train --method=pgd_at"],
        "dataset": "digits",
        "split": "test",
        "examples": 360,
        "norm": "linf",
        "epsilon": 0.1,
        "clean": {"accuracy": 357 / 360},
        "attacks": {
            "fgsm": {"accuracy": 0.9, "settings": {"steps": 1, "access": "gradients"}},
            "pgd(steps=20)": {"accuracy": 0.8, "settings": {"steps": 20, "access": "gradients"}},
        },
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
        "`one` taken for `zero`, on 90 of the images",
        "at L-inf 0.2 it was right on 12.0 % of 200 images under `pgd(steps=20)`",
        "1,293 images of `digits`, with seed 4",
        "Phase train: 30 epochs, on images attacked by pgd of 10 steps, L-inf epsilon 0.1.",
        "An image counts as right only if it withstands all of `fgsm`, `pgd(steps=20)`.",
        "a wrong answer for 0.8 % of the images",
        "somebody may tamper with the pixels",
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
        ("autoattack(version='standard')", True),
        ('autoattack(version="plus")', True),
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
    assert "somebody may tamper" not in card
    assert ("every figure under attack" in card) == bool({**report, **change}["attacks"])


def test_a_model_that_falls_is_not_recommended(report):
    report["worst_case"]["accuracy"] = 90 / 360
    card = model_card.render(report)
    assert "under attack it got more than half of the images wrong, 75.0 %" in card
    assert "somebody may tamper" not in card


@pytest.mark.parametrize("accuracy", [0.1, 0.2, 0.5, 0.54])
def test_a_model_that_does_no_better_than_guessing_is_for_nothing(report, accuracy):
    report["clean"]["accuracy"] = accuracy  # of two classes that are equally frequent
    report["worst_case"]["accuracy"] = 0.0
    card = model_card.render(report)
    intended = card.partition("## Intended use")[2].partition("##")[0]
    assert f"None: without an attack it was right on {100 * accuracy:.1f} %" in intended
    assert "the 50.0 % of always naming the most frequent class" in intended
    assert "Uses" not in intended


@pytest.mark.parametrize(
    ("settings", "recommended"),
    [
        ({"steps": 1, "access": "gradients"}, False),
        ({"steps": 20, "access": "gradients"}, True),
        ({"queries": 5000, "access": "outputs"}, False),
        ({"steps": 20, "access": "another model"}, False),
        ({"steps": 20}, False),  # a plug-in that does not tell
        ({"members": {"one": {"steps": 5, "access": "gradients", "accuracy": 0.8}}}, True),
        ({"members": {"one": {"queries": 5, "access": "outputs", "accuracy": 0.8}}}, False),
    ],
)
def test_only_an_attack_of_steps_along_gradients_speaks_for_use_under_attack(
    report, settings, recommended
):
    report["attacks"] = {"some": {"accuracy": 0.8, "settings": settings}}
    assert ("somebody may tamper" in model_card.render(report)) == recommended
    assert "somebody may tamper" not in model_card.render({**report, "warnings": ["odd"]})


@pytest.mark.parametrize(
    ("accesses", "words"),
    [
        (["gradients"], "an attacker who knows the network and may make"),
        (["gradients", "outputs"], "an attacker who knows the network and may make"),
        (["outputs"], "an attacker who sees only what the network answers and may make"),
        (["another model"], "an attacker who knows another network and may make"),
        ([None], "an attacker who may make"),
        ([None, "outputs"], "an attacker who may make"),
    ],
)
def test_the_attacker_knows_what_the_attacks_saw(report, accesses, words):
    report["attacks"] = {
        f"attack_{place}": {"accuracy": 0.8, "settings": {"access": access} if access else {}}
        for place, access in enumerate(accesses)
    }
    assert words in model_card.render(report)


def test_classes_that_fall_alike_have_no_weakest(report):
    for entry in report["classes"].values():
        entry["worst_case"] = 0.5
    assert "weakest" not in model_card.render(report)


def test_phases_without_attack_are_told_so(report):
    report["phases"] = {
        "train": {"epochs": 30, "attack": None},
        "finetune": {
            "mode": "alf", "epochs": 5, "attack": {"name": "n_fgsm", "steps": 1, "at_most": False},
        },
    }  # fmt: skip
    card = model_card.render(report)
    assert "Phase train: 30 epochs, on images that are not attacked." in card
    assert "Phase finetune: 5 epochs, on images attacked by n_fgsm of 1 step, L-inf" in card


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
