"""Tests compute as the commands do: oneDNN is on, unless the environment says otherwise."""

import anchor_tf  # noqa: F401  before TensorFlow, which it switches oneDNN on for
