"""From an `--augment` list to one function on batches of images."""

from collections.abc import Callable

from anchor_tf import specs
from anchor_tf.specs import Spec

_FAMILY = "anchor_tf.pipelines.augmentations"


def check(text: str) -> list[Spec]:
    """Checks a comma-separated list of augmentation specs, without importing TensorFlow.

    Args:
        text: `"crop(padding=4),flip"` for example; nothing, or `"none"`, for no augmentation.

    Raises:
        UserError: a name or an argument is unknown, or a value is of the wrong type.
    """
    text = "" if text.strip() == "none" else text
    return specs.check_list(text, _FAMILY, "augmentation")


def build(augmentations: list[Spec]) -> Callable:
    """Makes the function that applies augmentations one after the other.

    Args:
        augmentations: what `check` returned.

    Returns:
        A function of images float32 [B, H, W, C] in [0, 1] and keys uint32 [B, 3] that returns
        images of the same shape; it raises UserError if an argument of a spec is out of range.
    """
    from anchor_tf import keyed_random

    functions = [(specs.load(spec, _FAMILY), spec.arguments) for spec in augmentations]

    def augment(images, keys):
        for position, (function, arguments) in enumerate(functions):
            # The position tells apart two augmentations of one name.
            images = function(images, keyed_random.fold(keys, position), **arguments)
        return images

    return augment


def try_out(augment: Callable, image_shape: tuple[int, int, int]) -> None:
    """Applies an augmentation to one black image.

    Args:
        augment: what `build` returned.
        image_shape: (height, width, channels).

    Raises:
        UserError: an argument is out of range or does not fit the images.
    """
    import tensorflow as tf

    augment(tf.zeros([1, *image_shape]), tf.zeros([1, 3], tf.uint32))
