"""What is known of a model and was compiled for it, kept as long as the model lives."""

import collections
import contextlib
import inspect
import weakref
from collections.abc import Callable, Hashable, Iterator
from typing import Any

from anchor_tf.models.python_state import python_state

_MODELS, _VALUES = 32, 32  # kept at most: the models used last, and the values of each


class Memory:
    """Values by key; those used last are kept.

    Attributes:
        facts: `Facts` of the model's outputs, or None.
    """

    def __init__(self):
        self.facts = None
        self._values = collections.OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of a key, made where there is none."""
        try:
            value = self._values.pop(key, None)
        except TypeError:  # a key with a part that cannot be hashed
            return make()
        self._values[key] = make() if value is None else value
        while len(self._values) > _VALUES:
            self._values.popitem(last=False)
        return self._values[key]


class _Entry:
    """A model's memory, and the Python state that it is good for."""

    def __init__(self, reference, state):
        self.reference, self.state, self.memory = reference, state, Memory()

    def holds(self, anchor, state) -> bool:
        return self.reference() is anchor and all(
            path in state and state[path] == value for path, value in self.state.items()
        )


_entries: "collections.OrderedDict[tuple, _Entry]" = collections.OrderedDict()


@contextlib.contextmanager
def of(model: Callable) -> Iterator[Memory]:
    """A model's memory: empty for one that is new, or whose Python state has changed.

    What changes while the context lasts is the doing of the model itself, a counter of its own
    calls for example, and is not looked at from then on. A model that allows no weak reference has
    no memory that lasts.
    """
    anchor, key = _anchor(model)
    state = python_state(model)
    try:
        reference = weakref.ref(anchor, lambda _: _entries.pop(key, None))
    except TypeError:
        state = None
    if state is None:
        yield Memory()
        return
    entry = _entries.get(key)
    if entry is None or not entry.holds(anchor, state):
        entry = _entries[key] = _Entry(reference, state)
    _entries.move_to_end(key)
    while len(_entries) > _MODELS:
        _entries.popitem(last=False)
    try:
        yield entry.memory
    finally:
        before, after = entry.state, python_state(model) or {}
        # What has come into being, the variables of a model that was not built, counts from now on.
        entry.state = {
            path: value
            for path, value in after.items()
            if path not in state or (path in before and before[path] == value)
        }


def facts_of(model: Callable):
    """The facts in a model's memory, or None; reads only."""
    anchor, key = _anchor(model)
    entry = _entries.get(key)
    if entry is None:
        return None
    state = python_state(model)
    return entry.memory.facts if state is not None and entry.holds(anchor, state) else None


def _anchor(model):
    """The object whose life counts, and a key: a bound method is made anew at every mention."""
    if inspect.ismethod(model):
        return model.__self__, (id(model.__self__), model.__func__)
    return model, (id(model), None)
