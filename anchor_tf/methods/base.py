"""The frame of every training method: one step of attack, loss, gradient and update."""

import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.threat import Threat

PROJECTION_SIZE = 128


@dataclasses.dataclass(frozen=True)
class Batch:
    """What a training step is given.

    Attributes:
        views: independently augmented copies of the images, each float32 [B, H, W, C] in [0, 1].
        images: the images as they are, [B, H, W, C].
        labels: int32 [B].
        index: int32 [B], the examples' indices in the training split.
    """

    views: tuple[tf.Tensor, ...]
    images: tf.Tensor
    labels: tf.Tensor
    index: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a method makes of a batch.

    Attributes:
        losses: name of each term of the loss -> float32 [B], weighted as it enters the sum.
        logits: "clean" or "robust" -> logits [B, K] whose accuracy is tracked under that name.
    """

    losses: dict[str, tf.Tensor]
    logits: dict[str, tf.Tensor]


class Method(keras.Model):
    """A classifier and the way it is trained.

    A subclass says which losses and accuracies it tracks, how many views it needs, how it perturbs
    a batch and what it loses on it; the step itself is written here once. Called on images it
    returns logits.

    Args:
        backbone: Keras model from images [B, H, W, C] in [0, 1] to features [B, F].
        classes: number of classes K.
        threat: what the attack in training may do.
        attack_steps: steps of that attack.
        epsilon_ramp_steps: training steps over which epsilon grows linearly to its value.
        weight_decay: weight of the L2 term 1/2 |w|^2 over kernels, not over biases and batch
            normalisation; added to the gradient, as the field counts it.
        frozen: whether the backbone stays as it is and in inference mode.
        seed: seed of every random start.
    """

    loss_terms: tuple[str, ...] = ()
    accuracies: tuple[str, ...] = ("clean",)
    views = 1
    default_finetune = "none"

    def __init__(
        self,
        backbone: keras.Model,
        classes: int,
        threat: Threat,
        *,
        attack_steps: int = 10,
        epsilon_ramp_steps: int = 0,
        weight_decay: float = 0.0,
        frozen: bool = False,
        seed: int = 0,
        **model_arguments,
    ):
        super().__init__(**model_arguments)
        self.backbone = backbone
        self.classes = classes
        self.threat = threat
        self.attack_steps = attack_steps
        self.epsilon_ramp_steps = epsilon_ramp_steps
        self.weight_decay = weight_decay
        self.frozen = frozen
        self.seed = seed
        backbone.trainable = not frozen
        # Logits stay float32 under mixed precision: attacks live on their small differences.
        self.classifier = keras.layers.Dense(classes, name="classifier", dtype="float32")
        self.classifier.build(backbone.output_shape)
        names = ("loss", *self.loss_terms, *(f"{name}_accuracy" for name in self.accuracies))
        self.trackers = {name: keras.metrics.Mean(name) for name in names}
        self.built = True

    def perturb(self, batch: Batch, threat: Threat, keys: tf.Tensor) -> tf.Tensor | None:
        """Adversarial images for a batch, [B, H, W, C]; None where a method needs none."""
        del batch, threat, keys

    def outcome(self, batch: Batch, adversarial: tf.Tensor | None) -> Outcome:
        """Losses and logits of a batch, through the networks in training mode."""
        raise NotImplementedError

    def encode(self, images: tf.Tensor, training: bool) -> tf.Tensor:
        """Features [B, F] of images [B, H, W, C]."""
        return self.backbone(images, training=training and not self.frozen)

    def call(self, images, training=False):
        return self.classifier(self.encode(images, training))

    def classify(self, images: tf.Tensor) -> tf.Tensor:
        """Logits [B, K] in inference mode: what attacks see, in training as in evaluation."""
        return self(images, training=False)

    def train_step(self, data):
        batch = self._batch(data)
        iteration = self.optimizer.iterations
        keys = keyed_random.example_keys(self.seed, iteration, batch.index)
        adversarial = self.perturb(batch, self.current_threat(iteration), keys)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        with tf.GradientTape() as tape:
            outcome = self.outcome(batch, adversarial)
            loss = tf.add_n(list(outcome.losses.values()))
            # The optimizer sums over replicas, so each contributes its share of the mean.
            objective = self.optimizer.scale_loss(tf.reduce_mean(loss) / replicas)
        variables = self.trainable_variables
        gradients = tape.gradient(objective, [variable.value for variable in variables])
        self.optimizer.apply(self._decayed(gradients, variables, replicas), variables)
        return self._track(batch, loss, outcome)

    def current_threat(self, iteration) -> Threat:
        """The threat at a training step: epsilon ramps up linearly over the first steps."""
        if not self.epsilon_ramp_steps:
            return self.threat
        share = (tf.cast(iteration, tf.float32) + 1.0) / self.epsilon_ramp_steps
        return self.threat.with_epsilon(self.threat.epsilon * tf.minimum(share, 1.0))

    def classifier_model(self) -> keras.Model:
        """The trained classifier alone: a functional Keras model from images to logits."""
        images = keras.Input(self.backbone.input_shape[1:], name="images")
        return keras.Model(images, self.classifier(self.backbone(images)), name="classifier_model")

    def _batch(self, data) -> Batch:
        """Accepts the pipelines' elements, or plain (images, labels) as Keras users have them."""
        if isinstance(data, dict):
            return Batch(data["views"], data["images"], data["labels"], data["index"])
        images, labels = data
        labels = tf.cast(tf.reshape(labels, [-1]), tf.int32)
        return Batch((images,) * self.views, images, labels, tf.range(tf.shape(images)[0]))

    def _decayed(self, gradients, variables, replicas):
        """Adds the gradient of the L2 term for kernels, which are what has more than one axis."""
        if not self.weight_decay:
            return gradients
        scale = self.optimizer.scale_loss(tf.constant(self.weight_decay / replicas))
        return [
            gradient + scale * variable if len(variable.shape) > 1 else gradient
            for gradient, variable in zip(gradients, variables, strict=True)
        ]

    def _track(self, batch: Batch, loss: tf.Tensor, outcome: Outcome) -> dict:
        self.trackers["loss"].update_state(loss)
        for name, term in outcome.losses.items():
            self.trackers[name].update_state(term)
        for name, logits in outcome.logits.items():
            correct = tf.argmax(logits, axis=-1, output_type=tf.int32) == batch.labels
            self.trackers[f"{name}_accuracy"].update_state(correct)
        return {name: tracker.result() for name, tracker in self.trackers.items()}


class ContrastiveMethod(Method):
    """A method with a projection head, whose classifier is fine-tuned on the frozen backbone.

    The head is a two-layer perceptron to 128 dimensions, L2-normalised; it serves training alone.
    """

    views = 2
    default_finetune = "slf"

    def __init__(self, backbone: keras.Model, classes: int, threat: Threat, **setup):
        super().__init__(backbone, classes, threat, **setup)
        self.projection_head = keras.Sequential(
            [
                keras.Input(backbone.output_shape[1:]),
                keras.layers.Dense(
                    backbone.output_shape[-1], activation="relu", kernel_initializer="he_normal"
                ),
                keras.layers.Dense(PROJECTION_SIZE, dtype="float32"),
                keras.layers.UnitNormalization(dtype="float32"),
            ],
            name="projection_head",
        )


def gathered(tensors: list[tf.Tensor]) -> tuple[list[tf.Tensor], Callable[[], tf.Tensor] | int]:
    """Concatenates each tensor [N, ...] over the replicas, with gradients.

    Returns:
        The tensors [R N, ...], and the place of this replica's first row in them.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return tensors, 0
    rows = tf.shape(tensors[0])[0]
    replica = tf.cast(context.replica_id_in_sync_group, tf.int32)
    return [context.all_gather(tensor, axis=0) for tensor in tensors], replica * rows
