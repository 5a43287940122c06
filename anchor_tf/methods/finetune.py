"""Fine-tuning: which method trains the classifier on a trained backbone, and what stays frozen.

The modes are named as in the benchmarks of robust self-supervised learning: slf, linear on clean
images; alf, linear on adversarial images; aff, the full network on adversarial images.
"""

from anchor_tf import choices
from anchor_tf.methods.base import Method
from anchor_tf.methods.ce import CE
from anchor_tf.methods.pgd_at import PGDAT

MODES = {"slf": (CE, True), "alf": (PGDAT, True), "aff": (PGDAT, False)}


def finetune_of(trained: Method, mode: str, **setup) -> Method:
    """The method that fine-tunes a trained one; it shares its backbone.

    A backbone that is to stay frozen is left out of what the new method trains; its `trainable`
    flags stay as they are.

    Args:
        trained: after training. Its classifier is where fine-tuning starts, unless it says
            `fresh_head`.
        mode: "slf", "alf" or "aff".
        **setup: see `Method`.

    Raises:
        UserError: another mode.
    """
    choices.check("mode", mode, MODES, "finetune")
    method, frozen = MODES[mode]
    tuned = method(trained.backbone, trained.classes, trained.threat, frozen=frozen, **setup)
    if not trained.fresh_head:
        tuned.classifier.set_weights(trained.classifier.get_weights())
    if tuned.average is not None:
        tuned.average.restart()
    return tuned


def mode_of(method: Method, wanted: str) -> str:
    """What follows the training of a method: the wanted mode; its own where that is "auto".

    Raises:
        UserError: the wanted mode is neither "auto" nor "none" nor one of `MODES`.
    """
    choices.check("finetune", wanted, ("auto", "none", *MODES))
    return method.default_finetune if wanted == "auto" else wanted


def image_passes(trained: Method, mode: str) -> int:
    """Passes that an epoch of fine-tuning spends on each image; a frozen pass counts as a whole."""
    if mode == "none":
        return 0
    method, _ = MODES[mode]
    passes = 2 if trained.weight_perturbation else 1
    return method.attacked_copies * trained.attack_steps + method.trained_views * passes
