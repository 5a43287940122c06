"""Names that arguments know: what is none of them is refused, in one line, with the known ones."""

import pytest

from anchor_tf import choices
from anchor_tf.attacks.apgd import apgd
from anchor_tf.attacks.autoattack import autoattack
from anchor_tf.attacks.pgd import pgd
from anchor_tf.backbones.resnet import resnet
from anchor_tf.devices import distribution, precision
from anchor_tf.errors import UserError
from anchor_tf.losses.keras_losses import SupervisedContrastive
from anchor_tf.methods.ae_supcon import AESupCon
from anchor_tf.methods.anchor import Anchor
from anchor_tf.methods.ce import CE
from anchor_tf.methods.clead import CLEAD
from anchor_tf.methods.finetune import finetune_of, mode_of
from anchor_tf.pipelines.sources.folder import folder
from anchor_tf.threat import Threat
from anchor_tf.training.phase import Phase
from tests.methods.method_cases import THREAT, backbone


def method(cls, **named):
    return lambda: cls(backbone(), 4, THREAT, **named)


def attack(function, **named):
    return lambda: function(lambda x: x, [[0.5, 0.5]], [0], THREAT, **named)


TYPOS = [
    (method(CE, training_attack="fgms"), "training_attack='fgms'", "pgd, n_fgsm"),
    (method(CE, batch_norm="sync"), "batch_norm='sync'", "synchronized, per_replica"),
    (method(CE, on_divergence="Skip"), "on_divergence='Skip'", "did you mean skip?"),
    (method(Anchor, on_divergence="Skip"), "on_divergence='Skip'", "stop, skip"),
    (method(Anchor, objective="CE"), "objective='CE'", "ce, supcon, kl"),
    (method(Anchor, head="new"), "head='new'", "trained, fresh"),
    (method(Anchor, views=4), "views=4", "2, 3"),
    (method(Anchor, views=True), "views=True", "2, 3"),
    (method(CLEAD, negatives="pairs"), "negatives='pairs'", "perturbed, all, paired"),
    (method(CLEAD, labels="truth"), "labels='truth'", "pseudo, true"),
    (method(AESupCon, generator=None), "generator=None", "encoder, input"),
    (lambda: finetune_of(None, "SLF"), "mode='SLF'", "slf, alf, aff"),
    (lambda: mode_of(None, "automatic"), "finetune='automatic'", "auto, none, slf, alf, aff"),
    (lambda: Threat("Linf", 0.1), "norm='Linf'", "did you mean linf?"),
    (attack(pgd, objective="cross_entropy"), "objective='cross_entropy'", "ce, margin"),
    (attack(apgd, objective="DLR"), "objective='DLR'", "ce, dlr, targeted_dlr"),
    (attack(autoattack, version="Standard"), "version='Standard'", "standard, plus, rand"),
    (lambda: resnet((8, 8, 1), [0.5], [0.25], depth=19), "depth=19", "18, 34, 50"),
    (lambda: precision.use("fp16", 1), "precision='fp16'", "float32, bfloat16, float16"),
    (lambda: distribution.place("mirror"), "kind='mirror'", "did you mean mirrored?"),
    (lambda: distribution.uses_xla("yes", False), "xla='yes'", "auto, on, off"),
    (lambda: Phase("train", 1, 0.1, 0.0, "Adam"), "optimizer='Adam'", "sgd, adam"),
    (lambda: folder(path=".", damaged="ignore"), "damaged='ignore'", "refuse, skip"),
]


@pytest.mark.parametrize(("call", "given", "known"), TYPOS, ids=[given for _, given, _ in TYPOS])
def test_a_typo_is_refused_with_the_known_names(call, given, known):
    with pytest.raises(UserError) as refused:
        call()
    message = str(refused.value)
    assert given in message
    assert known in message
    assert "\n" not in message


def test_keras_refuses_an_unknown_reduction_in_a_line():
    with pytest.raises(ValueError, match="reduction=men"):
        SupervisedContrastive(reduction="men")


@pytest.mark.parametrize("value", ["slf", 2])
def test_a_known_value_passes(value):
    choices.check("argument", value, ("slf", 2))
