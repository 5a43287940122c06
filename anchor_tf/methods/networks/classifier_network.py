"""The network that a method trains: a backbone, a classifier on it, and perhaps their average."""

import keras
import tensorflow as tf

from anchor_tf.methods.extras.weight_average import WeightAverage


class ClassifierNetwork(keras.Model):
    """A classifier; called on images it returns logits.

    The backbone's weights and statistics are trained in place. Its name, its `trainable` flags and
    all else of it stay as they are; layers that are not trainable stay frozen, as in Keras.

    Args:
        backbone: Keras model from images [B, H, W, C] in [0, 1] to features [B, F].
        classes: number of classes K.
        average_decay: decay of an exponential moving average of the weights; 0 for none.
        frozen: whether the whole backbone stays as it is and in inference mode, its `trainable`
            flags aside.
        **model_arguments: of keras.Model.
    """

    def __init__(
        self,
        backbone: keras.Model,
        classes: int,
        *,
        average_decay: float = 0.0,
        frozen: bool = False,
        **model_arguments,
    ):
        super().__init__(**model_arguments)
        self.backbone = backbone
        self.classes = classes
        self.frozen = frozen
        # Logits stay float32 under mixed precision: attacks live on their small differences.
        self.classifier = keras.layers.Dense(classes, name="classifier", dtype="float32")
        self.classifier.build(backbone.output_shape)
        self.average = None
        if average_decay:
            self.average = WeightAverage(self.classifier_weights, average_decay)
        self.built = True

    @property
    def trainable_variables(self) -> list:
        """As in Keras; without those of a backbone that `frozen` keeps as it is."""
        return self._without_frozen(super().trainable_variables)

    @property
    def trainable_weights(self) -> list:
        """As `trainable_variables`."""
        return self._without_frozen(super().trainable_weights)

    @property
    def non_trainable_variables(self) -> list:
        """All variables but the trainable ones."""
        trained = {id(variable) for variable in self.trainable_variables}
        return [variable for variable in self.variables if id(variable) not in trained]

    @property
    def non_trainable_weights(self) -> list:
        """All weights but the trainable ones."""
        trained = {id(weight) for weight in self.trainable_weights}
        return [weight for weight in self.weights if id(weight) not in trained]

    @property
    def classifier_weights(self) -> list:
        """Variables of what is evaluated and exported: backbone and classifier."""
        return [*self.backbone.weights, *self.classifier.weights]

    @property
    def evaluated_weights(self) -> list:
        """What would be evaluated now: `classifier_weights`, or their averages."""
        return self.classifier_weights if self.average is None else self.average.averages

    def encode(self, images: tf.Tensor, training: bool) -> tf.Tensor:
        """Features [B, F] of images [B, H, W, C]."""
        return self.backbone(images, training=training and not self.frozen)

    def call(self, images, training=False):
        return self.classifier(self.encode(images, training))

    def classify(self, images: tf.Tensor) -> tf.Tensor:
        """Logits [B, K] in inference mode: what attacks see, in training as in evaluation."""
        return self(images, training=False)

    def classify_averaged(self, images: tf.Tensor) -> tf.Tensor:
        """Logits [B, K] of the averaged weights where there are any: what will be evaluated."""
        if self.average is None:
            return self.classify(images)
        return self.average.call(self.classify, images)

    def encode_averaged(self, images: tf.Tensor) -> tf.Tensor:
        """Features [B, F] in inference mode, likewise of the averaged weights."""
        if self.average is None:
            return self.encode(images, False)
        return self.average.call(self.encode, images, False)

    def classifier_model(self) -> keras.Model:
        """The trained classifier alone: a functional Keras model from images to logits.

        Its layers are "backbone" and "classifier". A backbone of another name is wrapped in a model
        of that one, by which files and exports find it (see `models.model_file.backbone_of`).
        """
        images = keras.Input(self.backbone.input_shape[1:], name="images")
        backbone = self.backbone
        if backbone.name != "backbone":
            backbone = keras.Model(images, backbone(images), name="backbone")
        return keras.Model(images, self.classifier(backbone(images)), name="classifier_model")

    def _without_frozen(self, variables: list) -> list:
        if not self.frozen:
            return variables
        frozen = {id(variable) for variable in self.backbone.variables}
        return [variable for variable in variables if id(variable) not in frozen]
