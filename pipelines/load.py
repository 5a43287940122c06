"""From a `--dataset` spec to the data set it names."""

import difflib
import os
import pathlib
import re

from anchor_tf import specs
from anchor_tf.errors import UserError
from anchor_tf.pipelines.data import ImageData
from anchor_tf.pipelines.sources import tfds
from anchor_tf.specs import Spec

_FAMILY = "anchor_tf.pipelines.sources"


def check(spec: Spec) -> Spec:
    """Checks a data set spec, without importing TensorFlow or reading any data.

    A name that is no source is taken for one of TensorFlow Datasets: `cifar10` becomes
    `tfds(name=cifar10)`, and so do arguments: `cifar10(data_dir=/data)`.

    Args:
        spec: what `specs.parse` returned.

    Returns:
        The spec of a source, its arguments typed.

    Raises:
        UserError: the name is unknown, or an argument is unknown, missing or of the wrong type.
    """
    sources = specs.known(_FAMILY)
    if spec.name not in sources:
        base = re.split("[/:]", spec.name)[0]
        if base not in tfds.known_names() and not _prepared(base, spec.arguments.get("data_dir")):
            candidates = [*sources, *sorted(tfds.known_names())]
            close = difflib.get_close_matches(base.lower(), candidates, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise UserError(
                f"unknown dataset {spec.name!r}: {hint}known: {', '.join(sources)} and the image "
                "sets of TensorFlow Datasets, such as cifar10"
            )
        inside = spec.text[len(spec.name) + 1 : -1]
        spec = specs.parse(f"tfds(name={spec.name}{',' if inside else ''}{inside})")
    return specs.check(spec, _FAMILY, "dataset")


def load(spec: Spec) -> ImageData:
    """Loads the data set that a spec names.

    Args:
        spec: what `check` returned.

    Raises:
        UserError: the data are not there, or not what they should be.
    """
    return specs.load(spec, _FAMILY)(**spec.arguments)


def _prepared(name: str, data_dir: str | None) -> bool:
    """Whether a set that is none of TensorFlow Datasets' own seems to be prepared on disk."""
    folder = data_dir or os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    return (pathlib.Path(str(folder)).expanduser() / name).is_dir()
