"""--init_from: whether a run may start from another one; found out before TensorFlow starts."""

from anchor_tf import config
from anchor_tf.errors import UserError
from anchor_tf.models import model_path
from anchor_tf.pipelines.data import ImageData
from anchor_tf.workdir import Workdir


def check_initial(path: str, data: ImageData, fold: int | None = None) -> str:
    """Checks that a run may be started from another; returns that run's backbone spec.

    Args:
        path: --init_from.
        data: what the new run trains on.
        fold: which part of it is left out for the evaluation, if any is.

    Raises:
        UserError: no finished run, one of another image size or number of classes, or one that
            left another fold out, so that it may have seen this run's fold or validation split.
    """
    workdir = Workdir(path)
    former, facts = config.load(workdir.config)
    if not workdir.model.exists():
        raise UserError(f"--init_from={path} holds no model.keras: let its training finish first")
    model_path.check(workdir.model)
    shape, names = config.image_facts(workdir.config, facts)
    classes = len(names)
    if shape != data.image_shape:
        raise UserError(
            f"--init_from={path} was trained on images of {_size(shape)}, these are "
            f"{_size(data.image_shape)}"
        )
    if classes != data.classes:
        raise UserError(
            f"--init_from={path} was trained on {classes} classes, this data set has {data.classes}"
        )
    if former.fold != fold:
        left_out = f"--fold={former.fold}" if former.fold is not None else "no fold"
        raise UserError(
            f"--init_from={path} left {left_out} out, so it may have been trained on what this run "
            "is validated or attacked on: start from a run that left the same fold out"
        )
    return former.backbone


def _size(shape) -> str:
    return "x".join(map(str, shape))
