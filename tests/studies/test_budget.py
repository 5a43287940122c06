"""Equal cost, against a search over all numbers of epochs; what the methods say they cost."""

import dataclasses
import pathlib
import subprocess
import sys

import pytest

from anchor_tf import specs
from anchor_tf.config import TrainConfig
from anchor_tf.errors import UserError
from anchor_tf.pipelines.sources.digits import digits
from anchor_tf.studies import budget
from anchor_tf.studies.budget import Cost

ROOT = pathlib.Path(__file__).parent.parent.parent


def total(cost, epochs, finetune_epochs):
    return epochs * cost.training + finetune_epochs * cost.finetune


@pytest.mark.parametrize(
    ("first", "other"),
    [(Cost(11, 0), Cost(12, 1)), (Cost(1, 0), Cost(11, 0)), (Cost(12, 1), Cost(22, 11))],
)
@pytest.mark.parametrize(("epochs", "finetune_epochs"), [(60, 10), (7, 3), (200, 0)])
def test_equal_epochs_come_nearest(first, other, epochs, finetune_epochs):
    wanted = total(first, epochs, finetune_epochs)
    found = budget.equal_epochs(wanted, other, finetune_epochs)
    gaps = {n: abs(total(other, n, finetune_epochs) - wanted) for n in range(1, 3000)}
    assert gaps[found] == min(gaps.values())
    assert budget.equal_epochs(wanted, first, finetune_epochs) == epochs


def test_known_numbers():
    assert budget.equal_epochs(660, Cost(1, 0), 10) == 660
    assert budget.equal_epochs(660, Cost(12, 1), 10) == 54
    assert budget.equal_epochs(5, Cost(12, 11), 10) == 1


def config(**changes):
    given = {
        "method": "ce",
        "dataset": "digits",
        "attack_steps": 3,
        "training_attack": "pgd",
        "finetune": "auto",
        "finetune_learning_rate": 0.01,
        "weight_decay": 0.0,
        "awp": 0.0,
        "clip_norm": 0.0,
        "batch_norm": "synchronized",
        "seed": 0,
        "attacks": "fgsm",
        "norm": ["linf"],
    }
    optional = {field.name: None for field in dataclasses.fields(TrainConfig)}
    recipe = dataclasses.asdict(digits().recipe)
    return TrainConfig.resolve({**given, **changes}, {**optional, **recipe})


def test_methods_are_asked_what_they_cost():
    methods = specs.check_list("ce,pgd_at,anchor", "anchor_tf.methods", "method")
    ce, pgd_at, anchor = budget.costs([(method, config()) for method in methods])
    assert (ce, pgd_at) == (Cost(1, 0), Cost(4, 0))
    assert (anchor.training, anchor.finetune) == (5, 1)
    single = budget._cost(methods[2], config(training_attack="n_fgsm", finetune="alf"))
    assert (single.training, single.finetune) == (3, 2)


def test_a_method_that_refuses_its_arguments_is_a_mistake():
    text = "anchor(contrastive_weight=0,ce_weight=0)"
    methods = specs.check_list(text, "anchor_tf.methods", "method")
    with pytest.raises(UserError, match="at least one weight"):
        budget._cost(methods[0], config())


CODE = """
import types
from anchor_tf import study
from anchor_tf.studies import budget, entries
study.budget.costs = lambda methods: [budget.Cost(12, 1), budget.Cost(1, 0)]
config = types.SimpleNamespace(epochs=60, finetune_epochs=10)
print(study._equal_epochs(entries.check(["anchor", "ce"], None), {}, lambda flags: config))
"""


def test_equal_passes_counts_the_first_method_s_fine_tuning():
    command = [sys.executable, "-c", CODE]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.stdout == "[60, 730]\n", found.stderr
