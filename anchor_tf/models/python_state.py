"""The Python values that a model's graph depends on, so that a change of them is noticed.

A compiled graph reads variables live, but bakes in what Python said while it was traced: which
layers there are, whether they are trainable, a temperature in a closure, the model that a global
name stands for.
"""

import contextlib
import functools
import hashlib
import types
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_DEPTH = 6
_LARGEST = 100_000  # values; what holds more is not followed
_SCALARS = (bool, int, float, complex, str, bytes, type(None))
_OWN = "anchor_tf."
_LIBRARIES = ("tensorflow", "keras", "numpy", "builtins")


class _Same:
    """Equal to another of the same object alone, which it does not keep alive."""

    def __init__(self, value):
        try:
            self._id, self._reference = None, weakref.ref(value)
        except TypeError:
            self._id, self._reference = id(value), lambda: None

    def __eq__(self, other):
        mine = self._reference()
        if mine is None:
            return self is other or (self._id is not None and self._id == other._id)
        return mine is other._reference()

    __hash__ = None


def python_state(model: Callable) -> dict[str, Any] | None:
    """What a model's graph depends on, besides its variables' values, by where it stands.

    Of a Keras layer: its layers, their `trainable`, dtype policies, variables and public scalars.
    Of a function: what its closure, its defaults and its global names hold, followed into
    functions, containers and plain objects, six deep. Attributes of modules are not followed, nor
    functions of this package.

    Returns:
        Values to compare with those of another moment; None where there are too many.
    """
    state = {}
    _walk(state, "", model, _DEPTH, set())
    return state if len(state) <= _LARGEST else None


def _walk(state: dict, path: str, value, depth: int, seen: set) -> None:
    if len(state) > _LARGEST:
        return
    if isinstance(value, _SCALARS):
        state[path] = (type(value), repr(value))
    elif isinstance(value, np.ndarray | np.generic):
        content = np.ascontiguousarray(value)
        digest = b"" if content.dtype.hasobject else hashlib.sha256(content).digest()
        state[path] = (content.shape, content.dtype, digest)
    elif id(value) not in seen and depth:
        if not isinstance(value, types.MethodType):  # made anew at every mention
            seen.add(id(value))
            state[path] = _identity(value)
        for name, part in _parts(value):
            _walk(state, f"{path}.{name}", part, depth - 1, seen)


def _identity(value):
    return len(value) if isinstance(value, list | tuple | dict | set | frozenset) else _Same(value)


def _parts(value):
    """Names and values of what an object's graph may depend on."""
    if isinstance(value, keras.Layer):
        yield from _parts_of_layer(value)
    elif isinstance(value, types.MethodType):
        yield from (("self", value.__self__), ("function", value.__func__))
    elif isinstance(value, types.FunctionType):
        yield from () if value.__module__.startswith(_OWN) else _parts_of_function(value)
    elif isinstance(value, functools.partial):
        yield from (("func", value.func), ("args", value.args), ("keywords", value.keywords))
    elif isinstance(value, dict):
        yield from ((repr(key), part) for key, part in value.items())
    elif isinstance(value, list | tuple):
        yield from enumerate(value)
    elif isinstance(value, type | types.ModuleType | tf.Module | tf.Tensor):
        return
    elif not type(value).__module__.startswith(_LIBRARIES):
        yield from getattr(value, "__dict__", {}).items()
        yield from (("()", type(value).__call__),) if callable(value) else ()


def _parts_of_layer(layer: keras.Layer):
    for place, part in enumerate(layer._flatten_layers()):
        variables = [*part._trainable_variables, *part._non_trainable_variables]
        yield f"{place}.class", type(part)
        yield f"{place}.trainable", part.trainable
        yield f"{place}.dtype_policy", part.dtype_policy.name
        yield f"{place}.variables", repr([id(part), *map(id, variables)])
        if not type(part).__module__.startswith("keras."):
            yield f"{place}.call", type(part).call
        for name, value in vars(part).items():
            if not name.startswith("_") and isinstance(value, (*_SCALARS, types.FunctionType)):
                yield f"{place}.{name}", value


def _parts_of_function(function: types.FunctionType):
    code = function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # not filled yet
            yield name, cell.cell_contents
    for name in sorted(_names(code)):
        if name in function.__globals__:
            yield name, function.__globals__[name]
    yield from (("defaults", function.__defaults__), ("keywords", function.__kwdefaults__))


def _names(code: types.CodeType) -> set[str]:
    """Global names in a function's code and in that of the functions it defines."""
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))
