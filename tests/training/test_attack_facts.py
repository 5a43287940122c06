"""What the phases of a training say of their attacks is what the methods do."""

import pytest

from anchor_tf import specs
from anchor_tf.training import attack_facts
from tests.methods.method_cases import build
from tests.test_config import resolved

PGD = {"name": "pgd", "steps": 2, "at_most": False}
ONE_STEP = {"name": "n_fgsm", "steps": 1, "at_most": False}
ATTACKS = {
    "ce": None, "supcon": None, "margin_supcon": None, "pgd_at": PGD, "trades": PGD, "mart": PGD,
    "fat": {**PGD, "at_most": True}, "rocl": PGD, "clead": PGD, "anchor": PGD, "ae_supcon": PGD,
    "ae_supcon(generator=input)": PGD,
}  # fmt: skip


def test_every_method_is_in_the_table():
    assert {specs.parse(text).name for text in ATTACKS} == set(specs.known("anchor_tf.methods"))


@pytest.mark.parametrize("text", ATTACKS)
def test_the_attack_of_a_training_is_the_method_s(text):
    method = build(text)
    found = attack_facts.phases(resolved(epochs=7, finetune="none"), method)
    assert found == {"train": {"epochs": 7, "attack": ATTACKS[text]}}


@pytest.mark.parametrize(("mode", "attack"), [("slf", None), ("alf", PGD), ("aff", PGD)])
@pytest.mark.parametrize("epochs", [0, 7])
def test_fine_tuning_has_the_attack_of_its_mode(mode, attack, epochs):
    config = resolved(epochs=epochs, init_from="run", finetune=mode, finetune_epochs=3)
    for text in ("ce", "fat"):
        found = attack_facts.phases(config, build(text))
        assert found.pop("finetune") == {"mode": mode, "epochs": 3, "attack": attack}
        assert set(found) == ({"train"} if epochs else set())


def test_auto_is_resolved_and_a_single_step_is_one():
    config = resolved(finetune="auto")
    assert "finetune" not in attack_facts.phases(config, build("pgd_at"))
    assert attack_facts.phases(config, build("anchor"))["finetune"]["mode"] == "slf"
    single = attack_facts.phases(config, build("trades", training_attack="n_fgsm"))
    assert single["train"]["attack"] == ONE_STEP
