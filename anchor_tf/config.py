"""The configuration of a training run: frozen, complete, and kept as JSON in its workdir."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Collection, Mapping
from typing import Any

from anchor_tf.errors import UserError
from anchor_tf.files.atomic import replacing

VERSION = 5
MAY_CHANGE = ("epochs", "validate_every", "on_divergence")  # of a run that goes on
SCALED = ("warmup_epochs", "ramp_epochs", "validate_every")  # with the epochs, unless given
OPEN = dict.fromkeys(("train_examples", "examples", "init_from", "fold"))  # None means none


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """All that decides what a run computes; the flags of `flags/train.py` explain each field."""

    method: str
    dataset: str
    backbone: str
    norm: str
    epsilon: float
    attack_steps: int
    training_attack: str
    precision: str
    epochs: int
    finetune: str
    finetune_epochs: int
    batch_size: int
    learning_rate: float
    finetune_learning_rate: float
    finetune_optimizer: str
    weight_decay: float
    label_smoothing: float
    ema_decay: float
    awp: float
    clip_norm: float
    batch_norm: str
    on_divergence: str
    warmup_epochs: float
    ramp_epochs: float
    augment: str
    train_examples: int | None
    validate_every: int
    select: str
    init_from: str | None
    fold: int | None
    seed: int
    attacks: str
    examples: int | None

    @classmethod
    def resolve(cls, flags: Mapping[str, Any], recipe: Mapping[str, Any]) -> "TrainConfig":
        """Fills what the flags leave open from the data set's recipe.

        Warm-up and ramp of the recipe are scaled with the epochs.

        Args:
            flags: flag values by name; None where not given.
            recipe: the data set's own values, by flag name.

        Raises:
            UserError: several norms or epsilons, where training takes one; another norm than the
                recipe's without an epsilon; a number that is not finite; no epochs and nothing to
                start from; a warm-up or ramp longer than the training.
        """
        given = {name: value for name, value in flags.items() if value is not None}
        for name in ("norm", "epsilon"):
            if len(given.get(name, [0])) != 1:
                raise UserError(f"--{name}: training takes one value, evaluation takes several")
            if name in given:
                given[name] = given[name][0]
        if given.get("norm", "linf") != "linf" and "epsilon" not in given:
            raise UserError(f"--norm={given['norm']} needs --epsilon: the recipe's is for linf")
        for name, value in given.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise UserError(f"--{name}={value} should be a finite number")
        if not given.get("epochs", 1) and "init_from" not in given:
            raise UserError("--epochs=0 needs --init_from: there would be nothing trained")
        merged = {**recipe, **OPEN, **given}
        for name in ("warmup_epochs", "ramp_epochs"):
            if name not in given:  # a shorter training keeps its share, or epsilon never arrives
                merged[name] *= merged["epochs"] / recipe["epochs"]
            elif 0 < merged["epochs"] < merged[name]:
                raise UserError(
                    f"--{name}={given[name]:g} would not end within --epochs={merged['epochs']}: "
                    "lower it or train longer"
                )
        often = merged["select"] == "best"
        merged.setdefault("validate_every", 1 if often else max(1, merged["epochs"] // 10))
        return cls(**{field.name: merged[field.name] for field in dataclasses.fields(cls)})


def save(path: pathlib.Path, config: TrainConfig, facts: Mapping[str, Any]) -> None:
    """Writes a configuration and further facts of the run, class names for example, as JSON."""
    content = {"version": VERSION, "train": dataclasses.asdict(config), **facts}
    with replacing(path) as file:
        file.write(json.dumps(content, indent=1).encode() + b"\n")


def load(path: pathlib.Path) -> tuple[TrainConfig, dict[str, Any]]:
    """Reads what `save` wrote.

    Returns:
        The configuration and the further facts.

    Raises:
        UserError: the file is missing, damaged or of another version, or holds a value of another
            type.
    """
    try:
        content = dict(json.loads(path.read_text(encoding="utf-8")))
        version, train = content.pop("version"), dict(content.pop("train"))
    except FileNotFoundError as error:
        raise UserError(f"{path.parent} holds no {path.name}: it is not a finished run") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as a configuration: {error}") from error
    names = {field.name for field in dataclasses.fields(TrainConfig)}
    if version != VERSION or set(train) != names:
        raise UserError(f"{path} was written by another version of anchor_tf: take a new --workdir")
    for field in dataclasses.fields(TrainConfig):
        if not _is(field.type, train[field.name]):
            kind = getattr(field.type, "__name__", field.type)
            raise UserError(f"{path} is damaged: {field.name} should be {kind}")
    return TrainConfig(**train), content


def image_facts(path: pathlib.Path, facts: Mapping[str, Any]) -> tuple[tuple[int, ...], list[str]]:
    """Height, width and channels of a run's images, and the names of their classes.

    Args:
        path: where the facts come from, for messages.
        facts: what `load` returned beside the configuration.

    Raises:
        UserError: they are not there, or not what they should be.
    """
    shape, names = facts.get("image_shape"), facts.get("class_names")
    if not _is(list, shape) or len(shape) != 3 or not all(_is(int, n) and n > 0 for n in shape):
        raise UserError(f"{path} is damaged: image_shape should be three whole numbers above 0")
    if not _is(list, names) or len(names) < 2 or not all(_is(str, name) for name in names):
        raise UserError(f"{path} is damaged: class_names should be a list of names")
    return tuple(shape), names


def earlier_epochs(path: pathlib.Path, facts: Mapping[str, Any]) -> list[int]:
    """The lengths that a run's training had before it was made longer, rising.

    Args:
        path: where the facts come from, for messages.
        facts: what `load` returned beside the configuration.

    Raises:
        UserError: they are no whole numbers.
    """
    lengths = facts.get("earlier_epochs", [])
    if not _is(list, lengths) or not all(_is(int, length) for length in lengths):
        raise UserError(f"{path} is damaged: earlier_epochs should be whole numbers")
    return lengths


def phases(path: pathlib.Path, facts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The phases of a run and their attacks, see `training.attack_facts`; {} if not known.

    Args:
        path: where the facts come from, for messages.
        facts: what `load` returned beside the configuration.

    Raises:
        UserError: they are not what they should be.
    """
    found = facts.get("phases", {})
    if not _is(dict, found) or not all(_is_phase(phase) for phase in found.values()):
        raise UserError(f"{path} is damaged: phases should say what each phase attacks with")
    return found


def training_radius(run: TrainConfig, phases: Mapping[str, Mapping[str, Any]]) -> float | None:
    """The radius of the attacks in a run's training; None where its phases have none."""
    return run.epsilon if any(phase["attack"] for phase in phases.values()) else None


def _is_phase(phase: Any) -> bool:
    if not _is(dict, phase) or not _is(int, phase.get("epochs")):
        return False
    attack = phase.get("attack", ())
    if attack is None:
        return True
    return _is(dict, attack) and _is(str, attack.get("name")) and _is(int, attack.get("steps"))


def _is(kind: type, value: Any) -> bool:
    """Whether a value read from JSON is of a type; whole numbers will do for floats."""
    if isinstance(value, bool):
        return False
    if kind is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, kind)


def continued(
    old: TrainConfig, new: TrainConfig, given: Collection[str]
) -> tuple[TrainConfig, list[str]]:
    """What a run becomes that is called again, with flags of which some may have changed.

    Args:
        old: the run's configuration.
        new: what the flags would give for a new run.
        given: names of the flags that were given; what others are is the run's own affair.

    Returns:
        The configuration to go on with, and the differing flags that may not change.
    """
    own = {name for name in (*SCALED, *MAY_CHANGE) if name not in given}
    new = dataclasses.replace(new, **{name: getattr(old, name) for name in own})
    fixed = dataclasses.replace(new, **{name: getattr(old, name) for name in MAY_CHANGE})
    return new, differences(old, fixed)


def differences(old: TrainConfig, new: TrainConfig) -> list[str]:
    """Flags whose values differ, each as `--name=old (now new)`."""
    pairs = zip(dataclasses.asdict(old).items(), dataclasses.asdict(new).values(), strict=True)
    return [
        f"--{name}={before} (now {after})" for (name, before), after in pairs if before != after
    ]
