"""Times training side by side: `python -m anchor_tf.benchmark --methods=pgd_at,anchor`."""

import itertools
import json
import os
import pathlib

from anchor_tf import specs
from anchor_tf.devices import cluster
from anchor_tf.errors import UserError
from anchor_tf.files.atomic import replacing
from anchor_tf.setup import refusals
from anchor_tf.terminal import command_line

CHOICES = {"precisions": ("float32", "bfloat16", "float16"), "xla": ("auto", "on", "off")}


def main() -> None:
    """Takes turns between the cases, so that noise falls on all alike, and prints medians."""
    from anchor_tf.flags import benchmark as benchmark_flags  # here: the import defines flags

    flags = benchmark_flags.values()
    if flags["json"] is not None:
        refusals.unwritable(flags["json"], "json")
    image_shape = _numbers(flags, "image_shape")
    if len(image_shape) != 3:
        raise UserError("--image_shape should be HEIGHT,WIDTH,CHANNELS, such as 32,32,3")
    choices = (
        specs.check_list(flags["methods"], "anchor_tf.methods", "method"),
        specs.check_list(flags["backbones"], "anchor_tf.backbones", "backbone"),
        _numbers(flags, "batch_sizes"),
        _chosen(flags, "precisions"),
        _chosen(flags, "xla"),
    )
    workers = cluster.taking_part(flags["strategy"])
    command_line.import_tensorflow(flags["virtual_devices"], start_devices=workers.size == 1)

    from anchor_tf.devices import distribution
    from anchor_tf.threat import Threat
    from anchor_tf.training import throughput

    place = distribution.place(flags["strategy"], flags["virtual_devices"])
    problem = throughput.Problem(
        image_shape,
        flags["classes"],
        Threat(flags["norm"][0], (flags["epsilon"] or [8 / 255])[0]),
        {"attack_steps": flags["attack_steps"], "training_attack": flags["training_attack"]},
        flags["seed"],
    )
    cases = [
        throughput.Case(*choice, xla=distribution.uses_xla(xla, on_gpus=place.xla))
        for *choice, xla in itertools.product(*choices)
    ]
    contenders = [throughput.Contender(case, problem, place.strategy) for case in cases]
    for _ in range(flags["rounds"]):
        for contender in contenders:
            contender.turn(flags["steps"])
    figures = [
        throughput.summary(contender, contenders[0], flags["train_examples"], flags["epochs"])
        for contender in contenders
    ]
    if place.chief:
        _show(figures, flags, _machine(place))


def _numbers(flags, name: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(text) for text in flags[name])
    except ValueError:
        numbers = (0,)
    if not numbers or min(numbers) < 1:
        raise UserError(f"--{name}={','.join(flags[name])} should be whole numbers above 0")
    return numbers


def _chosen(flags, name: str) -> list[str]:
    for choice in flags[name]:
        if choice not in CHOICES[name]:
            raise UserError(f"--{name}={choice} is unknown: {', '.join(CHOICES[name])}")
    return flags[name]


def _machine(place) -> dict:
    import tensorflow as tf

    from anchor_tf.devices import machine

    return {
        **machine.describe(),
        "replicas": place.strategy.num_replicas_in_sync,
        "load": os.getloadavg()[0],
        "tensorflow": tf.__version__,
    }


def _show(figures: list[dict], flags, machine: dict) -> None:
    columns = {
        "s a step": lambda f: f"{f['seconds_a_step']:.3f}",
        "images/s": lambda f: f"{f['images_per_second']:.0f}",
        "over first": lambda f: f"{f['over_first']:.3f}",
        "over passes": lambda f: f"{f['over_bare_passes']:.3f}" if "over_bare_passes" in f else "-",
        "waiting %": lambda f: f"{100 * f['waiting_for_input']:.1f}",
        "GB": lambda f: f"{f['memory_gb']:.2f}",
        "hours": lambda f: f"{f['hours']:.1f}",
    }
    names = [
        f"{f['method']}, {f['backbone']}, {f['batch_size']}, {f['precision']}{', xla' * f['xla']}"
        for f in figures
    ]
    width = max(map(len, names))
    print(f"{'':<{width}}" + "".join(f"{title:>13}" for title in columns))
    for name, one in zip(names, figures, strict=True):
        print(f"{name:<{width}}" + "".join(f"{text(one):>13}" for text in columns.values()))
    print(
        f"GB: what building the case and its first step added; hours: {flags['epochs']} epochs of "
        f"{flags['train_examples']} images; {machine['replicas']} replicas"
    )
    if flags["json"] is not None:
        content = {"machine": machine, "attack_steps": flags["attack_steps"], "cases": figures}
        with replacing(pathlib.Path(flags["json"])) as file:
            file.write(json.dumps(content, indent=1).encode() + b"\n")


if __name__ == "__main__":
    command_line.run(main, "benchmark", continues=False)
