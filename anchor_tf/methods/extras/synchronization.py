"""Batch normalisation over the replicas' batches, for the time of a pass in training mode."""

from collections.abc import Sequence

import keras


class Synchronization:
    """A context in which layers have another `synchronized`; afterwards they have their own again.

    Replicas trace a step in threads that take turns within a pass: the first one to enter changes
    the layers, the last one to leave puts them back.

    Args:
        layers: batch normalisations.
        wanted: their `synchronized` within.
    """

    def __init__(self, layers: Sequence[keras.layers.BatchNormalization], wanted: bool):
        self._layers, self._wanted = tuple(layers), wanted
        self._own: list[bool] = []
        self._inside = 0

    def __enter__(self) -> None:
        if not self._inside:
            self._own = [layer.synchronized for layer in self._layers]
            self._set([self._wanted] * len(self._layers))
        self._inside += 1

    def __exit__(self, *error) -> None:
        self._inside -= 1
        if not self._inside:
            self._set(self._own)

    def _set(self, values: Sequence[bool]) -> None:
        for layer, value in zip(self._layers, values, strict=True):
            layer.synchronized = value
