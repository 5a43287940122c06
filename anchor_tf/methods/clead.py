"""C-LEAD: an image is contrasted with its PGD and CW versions, then a linear layer is trained."""

import itertools
from typing import Literal

import keras
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.errors import UserError
from anchor_tf.losses.classification import cross_entropy, margin
from anchor_tf.losses.infonce import info_nce
from anchor_tf.methods.contrastive import ContrastiveMethod
from anchor_tf.methods.extras.across_replicas import gathered
from anchor_tf.methods.interface import Outcome


@keras.saving.register_keras_serializable("anchor_tf")
class CLEAD(ContrastiveMethod):
    """L = mean over i of [nce(z_i, z_i^PGD) + nce(z_i, z_i^CW)] / 2, nce the InfoNCE loss.

    z_i is an augmented view; both attacks start from a second augmentation of the image, without
    which an image meets no view but its own and the loss is near zero within an epoch
    (`shared_view=True` shows it). The negatives of both terms are the 2(B-1) PGD and CW versions
    of the other images; with `negatives=all` their augmented views as well, with `negatives=paired`
    the views and the versions of that term's attack. The two attacks run side by side as one batch.

    The attacks need logits: those of an online linear probe on features without gradient, trained
    with Adam. They aim away from the label, or with `labels=pseudo` from the probe's own
    prediction on the view that they start from.

    Source: Ghosh, Kumar and Sur 2025, C-LEAD, arXiv 2510.27249, equation 2. It leaves the views,
    the negatives and the classifier behind the attacks open; the choices above are our reading.
    The authors' scripts (suklav/C_Lead) have `negatives=paired`, start from a backbone that
    cross-entropy has trained, and attack every training image once, beforehand, on such a network.
    The paper's setting is temperature .1, batch 512, SGD .4.

    Args:
        backbone: Keras model from images to features.
        classes: number of classes.
        threat: what the attacks in training may do.
        temperature: tau, above 0.
        negatives: "perturbed", "all" or "paired".
        labels: what the attacks move away from, "pseudo" or "true".
        probe_learning_rate: of Adam, above 0; short trainings want more than the default.
        shared_view: whether both attacks start from z_i's own view.
        **setup: see `Method`.

    Raises:
        UserError: temperature or probe_learning_rate not above 0.
    """

    loss_terms = ("contrastive", "probe_cross_entropy")
    contrasts_classes = False
    attacked_copies = 2
    trained_views = 3

    def __init__(
        self,
        backbone,
        classes,
        threat,
        *,
        temperature: float = 0.1,
        negatives: Literal["perturbed", "all", "paired"] = "perturbed",
        labels: Literal["pseudo", "true"] = "pseudo",
        probe_learning_rate: float = 1e-4,
        shared_view: bool = False,
        **setup,
    ):
        super().__init__(backbone, classes, threat, **setup)
        if temperature <= 0 or probe_learning_rate <= 0:
            raise UserError("method clead: temperature and probe_learning_rate must be above 0")
        self.temperature = temperature
        self.negatives = negatives
        self.attack_labels = labels
        self.views = 1 if shared_view else 2
        self.probe_optimizer = keras.optimizers.Adam(probe_learning_rate)
        self.probe_optimizer.build(self.classifier.trainable_variables)

    @property
    def state(self):
        return [*super().state, *self.probe_optimizer.variables]

    def perturb(self, batch, threat, keys):
        images, labels = batch.views[-1], batch.labels
        if self.attack_labels == "pseudo":
            labels = tf.argmax(self.classify(images), axis=-1, output_type=tf.int32)

        def objective(moved):
            first, second = tf.split(self.classify(moved), 2)
            return tf.concat(
                [cross_entropy(first, labels), tf.minimum(margin(second, labels), 0.0)], axis=0
            )

        keys = tf.concat([keyed_random.fold(keys, "pgd"), keyed_random.fold(keys, "cw")], axis=0)
        return self.attack(objective, tf.concat([images, images], axis=0), threat, keys)

    def outcome(self, batch, adversarial, training=True):
        features, embeddings = self.encode_views(
            [batch.views[0], *tf.split(adversarial, 2)], training
        )
        logits, probe_loss = self.probe(features[0], batch.labels)
        anchor, by_pgd, by_cw = tf.split(embeddings, 3)
        if self.negatives == "paired":
            candidates = [[by_pgd, anchor], [by_cw, anchor]]
        else:  # one tensor for both terms: a sum of three gradients would depend on its order
            candidates = [[by_pgd, by_cw] + [anchor] * (self.negatives == "all")]
        found = [
            gathered([tf.concat(some, axis=0), tf.tile(batch.index, [len(some)])], batch.share)[0]
            for some in candidates
        ]
        terms = [
            info_nce(anchor, positive, negatives, batch.index, ids, temperature=self.temperature)
            for positive, (negatives, ids) in zip(
                (by_pgd, by_cw), itertools.cycle(found), strict=False
            )
        ]
        contrastive = tf.add_n(terms) / 2
        if training:
            # Of each candidate tensor one row is the anchor's own; its positive stands in for that.
            self.collapse.observe(contrastive, tf.size(found[0][1]) - len(candidates[0]) + 1)
        losses = {"contrastive": contrastive, "probe_cross_entropy": probe_loss}
        return Outcome(losses, {"clean": logits})

    def apply_gradients(self, gradients, variables):
        """The probe learns by its own optimizer, at its own rate."""
        if not self.optimizer.built:
            # For all weights, as a compiled method that was saved and loaded has it.
            self.optimizer.build(variables)
        probe = {id(variable) for variable in self.classifier.trainable_variables}
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            # It leaves out a step that overflows; clipping spreads the overflow to the probe, whose
            # own optimizer knows nothing of the loss's scale either.
            finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in gradients])
            scale = self.optimizer.scale_loss(tf.ones([]))
            gradients = [
                tf.where(finite, gradient / scale, 0.0) if id(variable) in probe else gradient
                for gradient, variable in zip(gradients, variables, strict=True)
            ]
        pairs = list(zip(gradients, variables, strict=True))
        for optimizer, mine in (
            (self.optimizer, [pair for pair in pairs if id(pair[1]) not in probe]),
            (self.probe_optimizer, [pair for pair in pairs if id(pair[1]) in probe]),
        ):
            optimizer.apply(*map(list, zip(*mine, strict=True)))
