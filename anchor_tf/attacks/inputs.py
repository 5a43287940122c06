"""What every attack accepts: tensors, NumPy arrays or lists, and models of any kind."""

import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from anchor_tf import choices
from anchor_tf.attacks import pixels
from anchor_tf.errors import UserError


def takes_arrays(attack: Callable) -> Callable:
    """Lets images and labels of an attack (logits_fn, x, y, threat, seed, x_init, ...) be arrays.

    Images become float32 and labels int32. Called outside of a graph, the attack runs in one of its
    own: step by step its loops would take many times as long. Each such call traces anew: over many
    batches, call it inside one `tf.function` of yours.

    Raises:
        UserError: by the attack, where an option is none of the known ones, images are not floats
            (grey levels from 0 to 255, say) or labels not integers, one an image; where the model
            takes integers, and where pixels are known to be outside the threat's box (see
            `pixels`).
    """

    @functools.wraps(attack)
    def accepting(logits_fn, x, y, threat, seed=0, x_init=None, **arguments):
        choices.check_literals(attack, arguments, f"attack {attack.__name__}")
        x, y = _images(x), _labels(y)
        if x.shape.rank is not None and not x.shape[:1].is_compatible_with(y.shape):
            raise UserError(f"y should be one label an image, [{x.shape[0]}], not {y.shape}")
        start = x_init if x_init is None else _images(x_init)
        pixels.check_call(logits_fn, x, start, threat)

        def attacked():
            return attack(keeping_batch_size(logits_fn), x, y, threat, seed, start, **arguments)

        if tf.executing_eagerly():
            return tf.function(attacked, autograph=False)()
        return attacked()

    return accepting


def inference(model: keras.Model | Callable) -> Callable[[tf.Tensor], tf.Tensor]:
    """The model as a function images -> float32 logits, without dropout or batch statistics."""

    def logits_fn(images):
        outputs = model(images, training=False) if isinstance(model, keras.Layer) else model(images)
        return tf.cast(outputs, tf.float32)

    return keeping_batch_size(logits_fn)


def keeping_batch_size(logits_fn: Callable) -> Callable:
    """The same function, whose logits and gradient at the images are known to be a batch like them.

    A SavedModel's signature forgets how many images it was given, and loops over a single one then
    cannot tell that its shape stays.
    """

    def logits(images):
        # The gradient of a reshape has the shape of what was reshaped.
        found = logits_fn(tf.reshape(images, tf.shape(images)))
        return tf.ensure_shape(found, [images.shape[0], *found.shape[1:]])

    return logits


def per_image(values: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """Values [B] as [B, 1, ...], to go with images [B, ...]."""
    return tf.reshape(values, [-1] + [1] * (images.shape.rank - 1))


def _images(value) -> tf.Tensor:
    tensor = value if tf.is_tensor(value) else tf.convert_to_tensor(np.asarray(value))
    if not tensor.dtype.is_floating:
        raise UserError(f"x holds {tensor.dtype.name}: images should be floats in the box, [0, 1]")
    return tf.cast(tensor, tf.float32)


def _labels(value) -> tf.Tensor:
    tensor = value if tf.is_tensor(value) else tf.convert_to_tensor(np.asarray(value))
    if not tensor.dtype.is_integer:
        raise UserError(f"y holds {tensor.dtype.name}: labels should be integers, not one-hot rows")
    return tf.cast(tensor, tf.int32)
