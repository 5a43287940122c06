"""The frame of every training method: one step of attack, loss, gradient and update."""

import inspect
from collections.abc import Callable
from typing import Any, Literal

import keras
import tensorflow as tf

from anchor_tf import choices, keyed_random
from anchor_tf.backbones import layers
from anchor_tf.errors import UserError
from anchor_tf.losses import classification
from anchor_tf.methods.extras import across_replicas, pixel_check, training_attack
from anchor_tf.methods.extras.finite_guard import FiniteGuard
from anchor_tf.methods.extras.gradient_clipping import clipped, measured
from anchor_tf.methods.extras.synchronization import Synchronization
from anchor_tf.methods.extras.weight_decay import decayed
from anchor_tf.methods.extras.weight_perturbation import adversarial_shifts, shifted
from anchor_tf.methods.interface import Batch, Outcome, check_labels
from anchor_tf.methods.networks.attacked_network import AttackedNetwork
from anchor_tf.methods.networks.classifier_network import ClassifierNetwork
from anchor_tf.threat import Threat


class Method(AttackedNetwork):
    """A classifier and the way it is trained.

    A subclass says which losses and accuracies it tracks, how many views it needs, how it perturbs
    a batch and what it loses on it; the step itself is written here once.

    As a Keras model it brings its own loss. `fit` logs `loss`, the terms of the loss, `accuracy` on
    clean images where the method's training sees any, and `robust_accuracy` on the images of the
    training attack. Validation and `evaluate` measure the weights that would be kept, averages
    where there are any, in inference mode: `accuracy` on clean images; `robust_accuracy`, the
    fraction of images that are right both before and after PGD at full epsilon, whatever the
    training attack is; and `loss`, the training loss on these images under the training attack at
    full epsilon. The loss of a contrastive method depends on the batch that an image is contrasted
    with: it compares epochs at one batch size, not methods or batch sizes. `predict` returns the
    logits of the same weights. Metrics given to `compile` see the clean logits; where a training
    step computes none, they run in validation only.

    `class_weight` and `sample_weight` follow Keras: the loss is the sum of weight times loss over
    the number of rows, and accuracies are not weighted.

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
            replica's own, whose moving averages are then averaged after every step. It holds for
            training; the layers' own `synchronized` stays as it is.
        on_divergence: "stop" to remember the first loss or gradient that is not finite, for who
            runs the steps to look at; "skip" to take such a step's gradient as zero and count it.
        seed: seed of every random start.
        validation_attack: steps of the PGD attack of `robust_accuracy` in validation and
            `evaluate`; None leaves it out.
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
        collapse: what watches for embeddings that are all one point, in a contrastive method.

    Raises:
        UserError: label_smoothing or average_decay outside [0, 1), a negative weight_perturbation
            or clip_norm, a validation_attack that is no number of steps, or a name that an argument
            does not know.
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
    collapse = None

    def __new__(cls, *arguments, **named):
        parameters = inspect.signature(cls.__init__).parameters.values()
        positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD][1:]
        given = dict(zip(positional, arguments, strict=False)) | named
        for constructor in _constructors(cls):
            choices.check_literals(constructor, given, cls.__name__)
        method = super().__new__(cls, *arguments, **named)
        object.__setattr__(method, "_given", given)  # Keras is not to track it
        return method

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
        batch_norm: Literal["synchronized", "per_replica"] = "synchronized",
        on_divergence: Literal["stop", "skip"] = "stop",
        seed: int = 0,
        validation_attack: int | None = 10,
        **network_arguments,
    ):
        if not (0 <= label_smoothing < 1 and 0 <= average_decay < 1):
            raise UserError("label_smoothing and average_decay must be in [0, 1)")
        if min(weight_perturbation, clip_norm) < 0:
            raise UserError("weight_perturbation and clip_norm must be at least 0")
        if validation_attack is not None and not (
            type(validation_attack) is int and validation_attack >= 1
        ):
            raise UserError(
                f"validation_attack={validation_attack!r} must be a number of steps, at least 1, "
                "or None for no attack in validation"
            )
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
        self.synchronization = Synchronization(
            layers.normalizations(backbone),
            across_replicas.count() > 1 and not self.statistics_per_replica,
        )
        self.guard = FiniteGuard(on_divergence == "skip", self._moving_statistics())
        self.seed = seed
        self.validation_attack = validation_attack
        self.trackers = {}
        self.validation_trackers = {}
        self._evaluates = False
        self._rows_per_count = None

    def compile(self, optimizer="rmsprop", loss=None, loss_weights=None, metrics=None, **named):
        """Compiles as Keras does; the loss is the method's own.

        Raises:
            UserError: a loss or loss_weights is given.
        """
        if loss is not None or loss_weights is not None:
            raise UserError(
                "compile(loss=...): the method brings its own loss: leave loss and loss_weights out"
            )
        super().compile(optimizer=optimizer, metrics=metrics, **named)
        accuracies = (f"{name}_accuracy" for name in self.accuracies)
        # The norm's is there unmeasured too: checkpoints fit on any number of replicas.
        names = ["loss", *self.loss_terms, *accuracies, "gradient_norm"]
        self.trackers = self.trackers or {name: keras.metrics.Mean(name) for name in names}
        self.validation_trackers = self.validation_trackers or self._for_validation()

    def _for_validation(self) -> dict:
        """The metrics of validation, apart from those of training, which checkpoints hold."""
        accuracies = ["accuracy"] + ["robust_accuracy"] * (self.validation_attack is not None)
        return {n: keras.metrics.Mean(n) for n in ("loss", *self.loss_terms, *accuracies)}

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def get_config(self) -> dict[str, Any]:
        """All arguments, as plain data; the backbone as Keras serialises it."""
        options = {}
        for constructor in _constructors(type(self)):
            options |= _defaults(constructor)
        options |= {name: value for name, value in self._given.items() if name in options}
        return {
            **super().get_config(),
            **options,
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            # Keras keeps the flags of a model's layers, but not those of the layers in a layer.
            "backbone_trainable": [layer.trainable for layer in self.backbone._flatten_layers()],
            "classes": self.classes,
            "threat": self.threat.as_dict(),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        backbone = keras.saving.deserialize_keras_object(config.pop("backbone"), custom_objects)
        flags = config.pop("backbone_trainable")
        for layer, trainable in zip(backbone._flatten_layers(), flags, strict=True):
            layer.trainable = trainable
        threat = Threat(**config.pop("threat"))
        return cls(backbone, config.pop("classes"), threat, **config)

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

    def outcome(
        self, batch: Batch, adversarial: tf.Tensor | None, training: bool = True
    ) -> Outcome:
        """Losses and logits of a batch, through the networks in training or in inference mode."""
        raise NotImplementedError

    def apply_gradients(self, gradients: list, variables: list) -> None:
        """Updates the variables; for a method with more than one optimizer to override."""
        self.optimizer.apply(gradients, variables)

    @property
    def state(self) -> list:
        """Every variable that a continued run needs: weights, statistics, seeds, slots, iteration.

        Metrics are left out: they begin anew with each epoch.
        """
        metrics = (*self.trackers.values(), *self.validation_trackers.values())
        trackers = {id(v) for tracker in metrics for v in tracker.variables}
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

    def fit(self, x=None, y=None, *arguments, **named):
        """Trains as Keras does; see `Method` for what the logs hold.

        Raises:
            UserError: labels that are neither indices of classes nor one-hot rows; images outside
                the threat's box (see `pixel_check`).
        """
        held_out = named.get("validation_data")
        held_out_labels = held_out[1:2] if isinstance(held_out, tuple | list) else ()
        for labels in (y, *held_out_labels):
            check_labels(labels, self.classes)
        with pixel_check.checked(x, self.threat) as data:
            return super().fit(data, y, *arguments, **named)

    def evaluate(self, x=None, y=None, *arguments, **named):
        """Evaluates as Keras does: loss, terms of the loss, accuracy and robust_accuracy.

        Raises:
            UserError: as `fit`, which calls this for its validation.
        """
        check_labels(y, self.classes)
        self._evaluates = True  # what `get_metrics_result` then returns
        try:
            with pixel_check.checked(x, self.threat) as data:
                return super().evaluate(data, y, *arguments, **named)
        finally:
            self._evaluates = False

    def get_metrics_result(self):
        """The metrics of the pass under way, as `fit` or `evaluate` logs them."""
        return self._logs(self._evaluates, self._evaluates or "clean" in self.accuracies)

    def train_step(self, data):
        batch = self._batch(data)
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
        norm = self._update(gradients, variables, batch.share)
        weight = tf.where(wrong & self.guard.skips, 0.0, 1.0)
        if norm is not None:
            # A scaled loss may overflow; its step is then left out and has no norm.
            finite = tf.cast(tf.math.is_finite(norm), tf.float32)
            part = weight * finite / across_replicas.count()
            _count(self.trackers["gradient_norm"], norm, part)
        return self._track(batch, loss, outcome, weight)

    def test_step(self, data):
        # Numbered through the pass, whose images so far a tracker has counted on each replica.
        counts = [self.validation_trackers["accuracy"].count.value]
        seen = tf.cast(across_replicas.summed(counts)[0], tf.int32)
        batch = self._batch(data, seen)
        keys = keyed_random.example_keys(self.seed, 0, batch.index)
        if self.average is None:
            outcome = self._outcome_in_validation(batch, keys)
        else:
            outcome = self.average.call(self._outcome_in_validation, batch, keys)
        correct = {name: _correct(logits, batch) for name, logits in outcome.logits.items()}
        counted = {"loss": tf.add_n(list(outcome.losses.values())), **outcome.losses}
        counted["accuracy"] = correct["clean"]
        if self.validation_attack is not None:
            counted["robust_accuracy"] = correct["clean"] * correct["robust"]
        rows = tf.cast(batch.share.counted(batch.rows), tf.float32)
        for name, values in counted.items():
            _count(self.validation_trackers[name], values, rows)
        self._count_compiled(batch, outcome, batch.share.counted(batch.rows))
        return self._logs(evaluates=True, sees_clean=True)

    def predict_step(self, data):
        return self.classify_averaged(keras.utils.unpack_x_y_sample_weight(data)[0])

    def _outcome_in_validation(self, batch: Batch, keys: tf.Tensor) -> Outcome:
        """Losses, and logits of clean images and of PGD's, in inference mode."""
        adversarial = self.perturb(batch, self.threat, keys)
        losses = self.outcome(batch, adversarial, training=False).weighted(batch.weights).losses
        logits = {"clean": self.classify(batch.images)}
        if self.validation_attack is not None:

            def objective(moved):
                return self.scaled(classification.cross_entropy(self.classify(moved), batch.labels))

            starts = keyed_random.fold(keyed_random.fold(keys, "ce"), 0)  # those of attacks.pgd
            setting = self.threat, starts, self.validation_attack
            attacked = self.in_parts(lambda: training_attack.pgd(objective, batch.images, *setting))
            logits["robust"] = self.classify(attacked)
        return Outcome(losses, logits)

    def _batch(self, data, seen: tf.Tensor | int = 0) -> Batch:
        batch = Batch.of(data, self.views, seen)
        columns = batch.targets.shape[1] if batch.targets.shape.rank == 2 else 1
        if columns not in (1, None, self.classes):
            raise UserError(
                f"labels have {columns} columns: with {self.classes} classes they must be one-hot "
                f"rows of {self.classes}, or class indices"
            )
        return batch

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Builds the optimizer and the metrics of `compile` in the strategy's scope.

        Keras averages the replicas' shares of the first batch for it, which must then be equal.
        """
        strategy = self._distribute_strategy
        if strategy is None:
            return
        with strategy.scope():
            if self.optimizer is not None and not self.optimizer.built:
                self.optimizer.build(self.trainable_variables)
            if self._compile_metrics is None or self._compile_metrics.built:
                return
            if iterator is not None:
                _, _, elements = next(iter(iterator))
                data_batch = next(elements)
            share = keras.tree.map_structure(
                lambda tensor: strategy.experimental_local_results(tensor)[0], data_batch
            )
            if isinstance(share, dict):
                share = share["images"], share["labels"]
            self._symbolic_build(data_batch=share)

    def _flatten_metrics_in_order(self, logs):
        """The values of logs as a list, `loss` first: Keras's order counts on its own trackers."""
        known = [name for name in self.validation_trackers if name in logs]
        return [logs[name] for name in [*known, *(name for name in logs if name not in known)]]

    def tracked(self) -> dict[str, float]:
        """Means of losses, accuracies and the gradient's norm since the trackers were reset.

        The norm is that of all weights and replicas, the L2 term's part in it, before clipping.
        """
        return {name: float(tracker.result()) for name, tracker in self._measured().items()}

    def _measured(self) -> dict:
        """The metrics of training, without the norm where it is not measured."""
        untold = () if self.measures_norm else ("gradient_norm",)
        return {name: tracker for name, tracker in self.trackers.items() if name not in untold}

    def encode(self, images, training):
        if not training:
            return super().encode(images, False)
        with self.synchronization:
            return self._encode_in_training(images)

    def _encode_in_training(self, images):
        encode = super().encode
        # Shifted weights stand in a scope of Keras, which no function within may leave tensors in.
        if self.statistics_per_replica and not self.weight_perturbation:
            return self.in_parts(lambda: encode(images, True))
        return encode(images, True)

    def _gradients(self, batch, adversarial, variables, shifts=None):
        """Gradients of this replica's part of the mean loss, the loss [B] and the outcome."""
        with tf.GradientTape() as tape:
            if shifts is None:
                outcome = self.outcome(batch, adversarial)
            else:
                outcome = shifted(self, variables, shifts, self.outcome, batch, adversarial)
            outcome = outcome.weighted(batch.weights)
            loss = tf.add_n(list(outcome.losses.values()))
            # The optimizer sums over replicas, so each contributes its part of the mean.
            objective = self.optimizer.scale_loss(batch.share.mean(loss))
        gradients = tape.gradient(
            objective,
            [variable.value for variable in variables],
            # A part that no term of the loss reaches stays as it is.
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return gradients, loss, outcome

    def _update(self, gradients, variables, share) -> tf.Tensor | None:
        """Changes weights, statistics and averages; returns the gradient's norm, if it is known."""
        norm, scale = None, self.optimizer.scale_loss(tf.ones([]))
        if self.weight_decay:
            part = scale * self.weight_decay / across_replicas.count()
            gradients = decayed(gradients, variables, part)
        if self.measures_norm:
            gradients, norm = measured(gradients)
            norm /= scale
        if self.clip_norm:
            gradients = clipped(gradients, norm, self.clip_norm)
        self.apply_gradients(gradients, variables)
        if self.statistics_per_replica:
            self._share_statistics(share)
        if self.average is not None:
            self.average.update(self.optimizer.iterations)
        return norm

    def _moving_statistics(self) -> list:
        normalizations = layers.normalizations(self.backbone)
        return [v for n in normalizations for v in (n.moving_mean, n.moving_variance)]

    def _share_statistics(self, share: across_replicas.Share) -> None:
        """Gives all replicas the mean of their moving statistics."""
        own = self._moving_statistics()
        means = across_replicas.averaged([v.value for v in own], share)
        for variable, mean in zip(own, means, strict=True):
            variable.assign(mean)

    def _track(self, batch: Batch, loss: tf.Tensor, outcome: Outcome, weight: tf.Tensor) -> dict:
        """Counts a step in the metrics, or with a weight of 0 does not.

        Means weigh each batch by its rows. They are counted in the rows of a full batch where its
        size is known while tracing, so that a full batch counts as exactly 1.
        """
        if self._rows_per_count is None:
            # The replicas count a step together, as one device does.
            self._rows_per_count = (batch.images.shape[0] or 1) * across_replicas.count()
        rows = batch.share.counted(batch.rows)
        full = tf.cast(rows, tf.float32) / self._rows_per_count
        counted = {"loss": loss, **outcome.losses}
        for name, logits in outcome.logits.items():
            counted[f"{name}_accuracy"] = _correct(logits, batch)
        for name, values in counted.items():
            _count(self.trackers[name], values, weight * full)
        self._count_compiled(batch, outcome, tf.where(weight > 0.0, rows, 0))
        return self._logs(evaluates=False, sees_clean="clean" in outcome.logits)

    def _count_compiled(self, batch: Batch, outcome: Outcome, rows: tf.Tensor) -> None:
        """Counts so many rows in the metrics given to `compile`, where clean logits are known."""
        if self._compile_metrics is None or "clean" not in outcome.logits:
            return
        given = (batch.targets, outcome.logits["clean"], batch.weights)
        targets, logits, weights = (None if tensor is None else tensor[:rows] for tensor in given)
        self._compile_metrics.update_state(targets, logits, sample_weight=weights)

    def _logs(self, evaluates: bool, sees_clean: bool) -> dict:
        """What a step or a pass logs, under Keras's names."""
        own = self.validation_trackers if evaluates else self._measured()
        logs = {"accuracy" if n == "clean_accuracy" else n: t.result() for n, t in own.items()}
        if self._compile_metrics is not None and sees_clean:
            logs = {**self._compile_metrics.result(), **logs}
        return logs


def _correct(logits: tf.Tensor, batch: Batch) -> tf.Tensor:
    """1 where the largest logit is the label's, else 0: float32 [B]."""
    correct = tf.argmax(logits, axis=-1, output_type=tf.int32) == batch.labels
    return tf.cast(correct, tf.float32)


def _count(tracker: keras.metrics.Mean, values: tf.Tensor, weight: tf.Tensor) -> None:
    tracker.update_state(tf.where(weight > 0.0, values, 0.0), sample_weight=weight)


def _constructors(method: type) -> list[Callable]:
    """The constructors of a method and its bases among ours, the base's first."""
    ours = [one for one in reversed(method.__mro__) if issubclass(one, ClassifierNetwork)]
    return [vars(one)["__init__"] for one in ours if "__init__" in vars(one)]


def _defaults(constructor: Callable) -> dict[str, Any]:
    """The options of a constructor, all but backbone, classes and threat, and their defaults."""
    parameters = inspect.signature(constructor).parameters.values()
    options = (p for p in parameters if p.kind is p.KEYWORD_ONLY or p.default is not p.empty)
    return {option.name: option.default for option in options}
