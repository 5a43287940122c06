"""Augmentations, one file each: a pure function `(images, keys, *, ...) -> images`.

Images are float32 [B, H, W, C] in [0, 1], keys uint32 [B, 3] as `anchor_tf.keyed_random` makes
them. What happens to an image depends on its own key alone. The keyword-only parameters are the
arguments of an `--augment` spec.
"""
