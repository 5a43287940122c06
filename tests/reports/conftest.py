"""Reports are written of the same small model that the evaluation tests attack."""

from tests.evaluation.conftest import images, labels, network, parse

__all__ = ["images", "labels", "network", "parse"]
