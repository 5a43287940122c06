"""The frame of every training method: one step of attack, loss, gradient and update."""

import keras
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.backbones import layers
from anchor_tf.errors import UserError
from anchor_tf.losses import classification
from anchor_tf.methods.extras import across_replicas
from anchor_tf.methods.extras.finite_guard import FiniteGuard
from anchor_tf.methods.extras.gradient_clipping import clipped, measured
from anchor_tf.methods.extras.weight_decay import decayed
from anchor_tf.methods.extras.weight_perturbation import adversarial_shifts, shifted
from anchor_tf.methods.interface import Batch, Outcome
from anchor_tf.methods.networks.attacked_network import AttackedNetwork
from anchor_tf.threat import Threat


class Method(AttackedNetwork):
    """A classifier and the way it is trained.

    A subclass says which losses and accuracies it tracks, how many views it needs, how it perturbs
    a batch and what it loses on it; the step itself is written here once.

    Args:
        backbone: Keras model from images [B, H, W, C] in [0, 1] to features [B, F].
        classes: number of classes K.
        threat: what the attack in training may do.
        weight_decay: weight of the L2 term 1/2 |w|^2 over kernels, not over biases and batch
            normalisation; added to the gradient, as the field counts it.
        label_smoothing: share of every label, in [0, 1), that is spread over all classes in the
            cross-entropy terms of the loss.
        weight_perturbation: gamma of adversarial weight perturbation; 0 for none.
        average_decay: decay of an exponential moving average of the weights; 0 for none.
        clip_norm: largest norm of the gradient of all weights and replicas; 0 for no limit.
        batch_norm: "synchronized" for the statistics of the global batch; "per_replica" for each
            replica's own, whose moving averages are then averaged after every step.
        on_divergence: "stop" to remember the first loss or gradient that is not finite, for who
            runs the steps to look at; "skip" to take such a step's gradient as zero and count it.
        seed: seed of every random start.
        **network_arguments: see `AttackedNetwork`.

    Attributes:
        loss_terms: names of the losses that `outcome` returns.
        accuracies: names of the logits that it returns.
        views: augmented copies of an image that a step wants.
        attacked_copies: copies of an image that its attack runs on through the network.
        stops_early: whether the attack may be done with an image before `attack_steps`.
        trained_views: copies that go through the network in training mode.
        default_finetune: "none", or the mode of fine-tuning that follows.
        contrasts_classes: whether its loss attracts images of one class, of which there must then
            be several.
        fresh_head: whether fine-tuning starts from a new classifier, not from the trained one.

    Raises:
        UserError: label_smoothing or average_decay outside [0, 1), or a negative
            weight_perturbation or clip_norm.
    """

    loss_terms: tuple[str, ...] = ()
    accuracies: tuple[str, ...] = ("clean",)
    views = 1
    attacked_copies = 0
    stops_early = False
    trained_views = 1
    default_finetune = "none"
    contrasts_classes = False
    fresh_head = False

    def __init__(
        self,
        backbone: keras.Model,
        classes: int,
        threat: Threat,
        *,
        weight_decay: float = 0.0,
        label_smoothing: float = 0.0,
        weight_perturbation: float = 0.0,
        average_decay: float = 0.0,
        clip_norm: float = 0.0,
        batch_norm: str = "synchronized",
        on_divergence: str = "stop",
        seed: int = 0,
        **network_arguments,
    ):
        if not (0 <= label_smoothing < 1 and 0 <= average_decay < 1):
            raise UserError("label_smoothing and average_decay must be in [0, 1)")
        if min(weight_perturbation, clip_norm) < 0:
            raise UserError("weight_perturbation and clip_norm must be at least 0")
        super().__init__(
            backbone, classes, threat, average_decay=average_decay, **network_arguments
        )
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.weight_perturbation = weight_perturbation
        self.clip_norm = clip_norm
        # Replicas would have to exchange their gradients once more for it, as clipping must.
        self.measures_norm = across_replicas.count() == 1 or clip_norm > 0
        self.statistics_per_replica = batch_norm == "per_replica" and across_replicas.count() > 1
        synchronized = across_replicas.count() > 1 and not self.statistics_per_replica
        for layer in layers.normalizations(backbone):  # one that was loaded has its former run's
            layer.synchronized = synchronized
        self.guard = FiniteGuard(on_divergence == "skip", self._moving_statistics())
        self.seed = seed
        self.trackers = {}

    def compile(self, *arguments, **named):
        super().compile(*arguments, **named)
        accuracies = (f"{name}_accuracy" for name in self.accuracies)
        names = ["loss", *self.loss_terms, *accuracies] + ["gradient_norm"] * self.measures_norm
        self.trackers = self.trackers or {name: keras.metrics.Mean(name) for name in names}

    def perturb(self, batch: Batch, threat: Threat, keys: tf.Tensor) -> tf.Tensor | None:
        """Adversarial images for a batch, [B, H, W, C]; None where a method needs none.

        Args:
            batch: see `Batch`.
            threat: this step's; its epsilon may still grow.
            keys: uint32 [B, 3], of the random start.
        """
        del batch, threat, keys

    @classmethod
    def attacks(cls) -> bool:
        """Whether it trains on attacked images: it then has a `perturb` of its own."""
        return cls.perturb is not Method.perturb

    def outcome(self, batch: Batch, adversarial: tf.Tensor | None) -> Outcome:
        """Losses and logits of a batch, through the networks in training mode."""
        raise NotImplementedError

    def apply_gradients(self, gradients: list, variables: list) -> None:
        """Updates the variables; for a method with more than one optimizer to override."""
        self.optimizer.apply(gradients, variables)

    @property
    def state(self) -> list:
        """Every variable that a continued run needs: weights, statistics, seeds, slots, iteration.

        Metrics are left out: they begin anew with each epoch.
        """
        trackers = {id(v) for tracker in self.trackers.values() for v in tracker.variables}
        own = [variable for variable in self.variables if id(variable) not in trackers]
        return [*own, *self.optimizer.variables]

    @property
    def resumable(self) -> list:
        """`state`, and the metrics of the epoch so far."""
        return [*self.state, *(v for tracker in self.trackers.values() for v in tracker.variables)]

    @property
    def image_passes(self) -> int:
        """Forward-and-backward passes that a training step spends on each image."""
        trained = self.trained_views * (2 if self.weight_perturbation else 1)
        return self.attacked_copies * self.attack_steps + trained

    def cross_entropy(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """The cross-entropy [B] that training lowers, labels smoothed as asked for."""
        return classification.cross_entropy(logits, labels, self.label_smoothing)

    def train_step(self, data):
        batch = Batch.of(data, self.views)
        iteration = self.optimizer.iterations
        keys = keyed_random.example_keys(self.seed, iteration, batch.index)
        adversarial = self.perturb(batch, self.current_threat(iteration), keys)
        variables = self.trainable_variables
        shifts = None
        if self.weight_perturbation:
            with keras.StatelessScope():  # the batch statistics of this pass are dropped
                gradients, _, _ = self._gradients(batch, adversarial, variables)
            shifts = adversarial_shifts(gradients, variables, self.weight_perturbation)
        statistics = self.guard.remember()
        gradients, loss, outcome = self._gradients(batch, adversarial, variables, shifts)
        # With a scaled loss, gradients overflow now and then, and its optimizer sees to that.
        scaled = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        wrong = self.guard.observe(batch.index, loss, [] if scaled else gradients)
        if self.guard.skips:
            gradients = self.guard.forget(wrong, gradients, statistics)
        norm = self._update(gradients, variables)
        weight = tf.where(wrong & self.guard.skips, 0.0, 1.0)
        if norm is not None:
            # A scaled loss may overflow; its step is then left out and has no norm.
            finite = tf.cast(tf.math.is_finite(norm), tf.float32)
            self._count("gradient_norm", norm, weight * finite)
        return self._track(batch, loss, outcome, weight)

    def tracked(self) -> dict[str, float]:
        """Means of losses, accuracies and the gradient's norm since the trackers were reset.

        The norm is that of all weights and replicas, the L2 term's part in it, before clipping.
        """
        return {name: float(tracker.result()) for name, tracker in self.trackers.items()}

    def encode(self, images, training):
        encode = super().encode
        # Shifted weights stand in a scope of Keras, which no function within may leave tensors in.
        if training and self.statistics_per_replica and not self.weight_perturbation:
            return self.in_parts(lambda: encode(images, True))
        return encode(images, training)

    def _gradients(self, batch, adversarial, variables, shifts=None):
        """Gradients of this replica's share of the mean loss, the loss [B] and the outcome."""
        with tf.GradientTape() as tape:
            if shifts is None:
                outcome = self.outcome(batch, adversarial)
            else:
                outcome = shifted(self, variables, shifts, self.outcome, batch, adversarial)
            loss = tf.add_n(list(outcome.losses.values()))
            # The optimizer sums over replicas, so each contributes its share of the mean.
            objective = self.optimizer.scale_loss(tf.reduce_mean(loss) / across_replicas.count())
        gradients = tape.gradient(
            objective,
            [variable.value for variable in variables],
            # A part that no term of the loss reaches stays as it is.
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return gradients, loss, outcome

    def _update(self, gradients, variables) -> tf.Tensor | None:
        """Changes weights, statistics and averages; returns the gradient's norm, if it is known."""
        norm, scale = None, self.optimizer.scale_loss(tf.ones([]))
        if self.weight_decay:
            share = scale * self.weight_decay / across_replicas.count()
            gradients = decayed(gradients, variables, share)
        if self.measures_norm:
            gradients, norm = measured(gradients)
            norm /= scale
        if self.clip_norm:
            gradients = clipped(gradients, norm, self.clip_norm)
        self.apply_gradients(gradients, variables)
        if self.statistics_per_replica:
            self._share_statistics()
        if self.average is not None:
            self.average.update(self.optimizer.iterations)
        return norm

    def _moving_statistics(self) -> list:
        normalizations = layers.normalizations(self.backbone)
        return [v for n in normalizations for v in (n.moving_mean, n.moving_variance)]

    def _share_statistics(self) -> None:
        """Gives all replicas the mean of their moving statistics."""
        own = self._moving_statistics()
        for variable, mean in zip(
            own, across_replicas.averaged([v.value for v in own]), strict=True
        ):
            variable.assign(mean)

    def _track(self, batch: Batch, loss: tf.Tensor, outcome: Outcome, weight: tf.Tensor) -> dict:
        """Counts a step in the metrics, or with a weight of 0 does not."""
        counted = {"loss": loss, **outcome.losses}
        for name, logits in outcome.logits.items():
            correct = tf.argmax(logits, axis=-1, output_type=tf.int32) == batch.labels
            counted[f"{name}_accuracy"] = tf.cast(correct, tf.float32)
        for name, values in counted.items():
            self._count(name, values, weight)
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    def _count(self, name: str, values: tf.Tensor, weight: tf.Tensor) -> None:
        values = tf.where(weight > 0.0, values, 0.0)
        self.trackers[name].update_state(values, sample_weight=weight)
