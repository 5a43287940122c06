"""Robust image classifiers for Keras 3 and TensorFlow, trained with contrastive learning.

Attacks, methods and backbones are at hand by name, `anchor_tf.autoattack` or `anchor_tf.Anchor`
for example, as are `anchor_tf.Threat` and the losses of `anchor_tf.losses.keras_losses`; each is
imported, and TensorFlow with it, when it is first asked for. Keras finds the classes that saved
models hold once both are imported, in whatever order (see `registration`). Imported before
TensorFlow, the package switches oneDNN on, unless TF_ENABLE_ONEDNN_OPTS is set.
"""

import importlib

from anchor_tf import plugins, registration
from anchor_tf.devices import onednn

__version__ = "0.1.0"

onednn.switch_on()

_FAMILIES = ("anchor_tf.attacks", "anchor_tf.methods", "anchor_tf.backbones")
_OTHERS = {
    "Threat": "anchor_tf.threat",
    "SupervisedContrastive": "anchor_tf.losses.keras_losses",
    "PairMargin": "anchor_tf.losses.keras_losses",
    "BoostedCrossEntropy": "anchor_tf.losses.keras_losses",
}

registration.register()


def _homes() -> dict[str, str]:
    """Public name -> the module that has it."""
    homes = dict(_OTHERS)
    for family in _FAMILIES:
        for module, entry in plugins.entries(family).items():
            homes[entry.callable] = f"{family}.{module}"
    return homes


def __getattr__(name: str):
    home = None if name.startswith("_") else _homes().get(name)
    if home is None:
        raise AttributeError(f"module 'anchor_tf' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_homes()})
