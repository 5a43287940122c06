"""What flags are refused for, one against another or against the data, before TensorFlow starts."""

import contextlib
import math
import pathlib
import tempfile
from collections.abc import Iterator, Sequence

from anchor_tf import specs
from anchor_tf.devices import cluster
from anchor_tf.errors import UserError
from anchor_tf.models import model_path
from anchor_tf.specs import Spec


@contextlib.contextmanager
def naming(flag: str) -> Iterator[None]:
    """Puts the name of a flag before a mistake in its value that does not name it."""
    try:
        yield
    except UserError as error:
        if f"--{flag}" in str(error):
            raise
        raise UserError(f"--{flag}: {error}") from error


def attacks(text: str, *, needed: bool = False) -> list[Spec]:
    """Checks --attacks.

    Args:
        text: specs, separated by commas.
        needed: whether there has to be one.

    Raises:
        UserError: a spec is wrong, or two of them are the same attack.
    """
    with naming("attacks"):
        found = specs.check_list(text, "anchor_tf.attacks", "attack")
        specs.refuse_duplicates(found, "anchor_tf.attacks", "attack")
    if needed and not found:
        raise UserError("--attacks is empty: name at least one, such as fgsm")
    return found


def name_of(flag: str, path: str | pathlib.Path | None) -> None:
    """Checks the path of a folder that is to hold SavedModels.

    Args:
        flag: what names it.
        path: its value; None where it has none yet.

    Raises:
        UserError: TensorFlow could not read them, see `model_path.check_name`.
    """
    with naming(flag):
        model_path.check_name(path or "")


def examples(flag: str, count: int | None, available: int) -> None:
    """Checks a number of images against those of a split.

    Args:
        flag: its name.
        count: how many are asked for; None for all.
        available: how many there are.

    Raises:
        UserError: there are not so many.
    """
    if count is not None and not 1 <= count <= available:
        raise UserError(f"--{flag}={count} should be from 1 to {available}, the images there are")


def radii(
    norms: Sequence[str] | None, epsilons: Sequence[float] | None, own: tuple[str, float]
) -> list[tuple[str, float]]:
    """The threats of an evaluation: pairs of norm and radius.

    Args:
        norms: --norm, if it was given; that of the training if not.
        epsilons: --epsilon, if it was given.
        own: norm and radius of the training, which has no radius in another norm.

    Raises:
        UserError: another norm, and no radius.
    """
    norms = norms or [own[0]]
    if epsilons is None and list(norms) != [own[0]]:
        raise UserError(f"--norm={','.join(norms)} needs --epsilon, a radius in that norm")
    return [(norm, epsilon) for norm in norms for epsilon in epsilons or [own[1]]]


def radius(norm: str, epsilon: float, image_shape: tuple[int, int, int]) -> None:
    """Checks that a radius does not reach beyond every image.

    Raises:
        UserError: it is larger than the diagonal of the box of pixels.
    """
    largest = 1.0 if norm == "linf" else math.sqrt(math.prod(image_shape))
    if not 0 <= epsilon <= largest:
        raise UserError(
            f"--epsilon={epsilon:g} is out of range: no two images of this size are further apart "
            f"than {largest:.4g} in {norm}" + " (eight grey levels are 8/255)" * (norm == "linf")
        )


def devices(strategy: str, virtual_devices: int | None, batch_size: int, precision: str) -> None:
    """Checks the flags of the devices against the batch and the precision.

    Raises:
        UserError: see `cluster.taking_part`; a batch that the devices cannot share, or float16 on
            several.
    """
    cluster.taking_part(strategy)
    if virtual_devices and strategy in ("one", "multiworker"):  # no validator sees a study's entry
        raise UserError(
            f"--virtual_devices={virtual_devices} needs --strategy=mirrored or auto, not {strategy}"
        )
    replicas = virtual_devices or 1
    if batch_size % replicas:
        raise UserError(
            f"--batch_size={batch_size} cannot be divided over --virtual_devices={replicas}: take "
            f"{batch_size + replicas - batch_size % replicas}"
        )
    if precision == "float16" and replicas > 1:
        raise UserError("--precision=float16 works on one device only: take bfloat16")


def unwritable(path: str | pathlib.Path, flag: str) -> None:
    """Finds out before the work, not after it, that its result could not be written.

    Nothing is left on the disk.

    Args:
        path: the file to write; its folders may be missing.
        flag: what named it.

    Raises:
        UserError: it cannot be written.
    """
    path = pathlib.Path(path)
    try:
        if path.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        parent = path.parent
        while not parent.exists():
            parent = parent.parent
        tempfile.TemporaryFile(dir=parent).close()
    except OSError as error:
        raise UserError(f"--{flag}: {path} cannot be written: {error.strerror}") from error
