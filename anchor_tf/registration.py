"""Tells Keras of the classes that saved models hold, whenever Keras is imported.

A model's file names its classes, `anchor_tf>Anchor` for example, and Keras finds those alone that
have been registered. Importing all of them with `anchor_tf` would import TensorFlow; instead Keras
is given placeholders that import a class when a file asks for it.
"""

import importlib
import importlib.abc
import importlib.util
import sys

PACKAGE = "anchor_tf"
# Module -> classes. The names stand in users' files and never change.
CLASSES = {
    "backbones.layers": ("ConvolutionBatchNorm", "FusedBatchNormalization", "ChannelNormalization"),
    "losses.keras_losses": ("SupervisedContrastive", "PairMargin", "BoostedCrossEntropy"),
    "methods.ae_supcon": ("AESupCon",),
    "methods.anchor": ("Anchor",),
    "methods.ce": ("CE",),
    "methods.clead": ("CLEAD",),
    "methods.contrastive": ("UnitLength",),
    "methods.fat": ("FAT",),
    "methods.margin_supcon": ("MarginSupCon",),
    "methods.mart": ("MART",),
    "methods.pgd_at": ("PGDAT",),
    "methods.rocl": ("RoCL",),
    "methods.supcon": ("SupCon",),
    "methods.trades": ("TRADES",),
}


def register() -> None:
    """Registers now if Keras is imported, else as soon as it is."""
    if "keras" in sys.modules:
        _give_placeholders()
    else:
        sys.meta_path.insert(0, _AfterKeras())


class _AfterKeras(importlib.abc.MetaPathFinder):
    """Finds Keras as the other finders do, and registers once it is imported."""

    def __init__(self):
        self._asking = False

    def find_spec(self, name, path=None, target=None):
        if name != "keras" or self._asking:
            return None
        self._asking = True
        try:
            spec = importlib.util.find_spec(name)  # asks all finders, this one again
        finally:
            self._asking = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self)
        return spec


class _Loader(importlib.abc.Loader):
    """Loads Keras by its own loader."""

    def __init__(self, loader: importlib.abc.Loader, finder: _AfterKeras):
        self._loader, self._finder = loader, finder

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        _give_placeholders()

    def __getattr__(self, name):
        return getattr(self._loader, name)


def _give_placeholders() -> None:
    """Registers a placeholder for each class that is not registered yet.

    The class takes its placeholder's place when its module is imported.
    """
    registered = sys.modules["keras"].saving.get_custom_objects()
    for module, names in CLASSES.items():
        for name in names:
            registered.setdefault(f"{PACKAGE}>{name}", _placeholder(module, name))


def _placeholder(module: str, name: str) -> type:
    """A class that makes instances of another one, which is then imported."""

    def from_config(_, config, custom_objects=None):
        real = getattr(importlib.import_module(f"{PACKAGE}.{module}"), name)
        if custom_objects is None:
            return real.from_config(config)
        return real.from_config(config, custom_objects=custom_objects)

    return type(name, (), {"from_config": classmethod(from_config), "__module__": __name__})
