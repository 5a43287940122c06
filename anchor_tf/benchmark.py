"""Times training steps side by side: `python -m anchor_tf.benchmark --methods=pgd_at,anchor`."""

import statistics
import time

from anchor_tf import command_line, specs
from anchor_tf.errors import UserError
from flags import benchmark as benchmark_flags


def main() -> None:
    """Takes turns between the methods, so that noise falls on all alike, and prints medians."""
    flags = benchmark_flags.values()
    methods = specs.check_list(flags["methods"], "anchor_tf.methods", "method")
    backbone = specs.check(specs.parse(flags["backbone"]), "anchor_tf.backbones", "backbone")
    try:
        image_shape = tuple(int(side) for side in flags["image_shape"])
    except ValueError:
        image_shape = ()
    if len(image_shape) != 3:
        raise UserError("--image_shape should be HEIGHT,WIDTH,CHANNELS, such as 32,32,3")
    batch_size = flags["batch_size"] or 128
    command_line.import_tensorflow()
    steps = [_step(method, backbone, image_shape, batch_size, flags) for method in methods]
    for step in steps:
        step()
    seconds = [[] for _ in steps]
    for _ in range(flags["rounds"]):
        for step, times in zip(steps, seconds, strict=True):
            began = time.perf_counter()
            for _ in range(flags["steps"]):
                step()
            times.append((time.perf_counter() - began) / flags["steps"])
    print(f"{flags['backbone']}, {image_shape}, batch {batch_size}, {flags['attack_steps']} steps")
    print(f"{'method':<24}{'s a step':>10}{'images/s':>10}{'ratio':>8}{'spread':>16}")
    for method, times in zip(methods, seconds, strict=True):
        ratios = sorted(one / first for one, first in zip(times, seconds[0], strict=True))
        median = statistics.median(times)
        print(
            f"{method.text:<24}{median:>10.3f}{batch_size / median:>10.1f}"
            f"{statistics.median(ratios):>8.3f}{ratios[0]:>9.3f}-{ratios[-1]:.3f}"
        )


def _step(method_spec, backbone_spec, image_shape, batch_size, flags):
    """A function that takes one training step of a method on a fixed random batch."""
    import keras
    import tensorflow as tf

    from anchor_tf.threat import Threat

    channels = image_shape[-1]
    backbone = specs.load(backbone_spec, "anchor_tf.backbones")(
        image_shape, [0.5] * channels, [0.25] * channels, **backbone_spec.arguments
    )
    epsilon = (flags["epsilon"] or [8 / 255])[0]
    method = specs.load(method_spec, "anchor_tf.methods")(
        backbone,
        flags["classes"],
        Threat(flags["norm"][0], epsilon),
        attack_steps=flags["attack_steps"],
        weight_decay=5e-4,
        **method_spec.arguments,
    )
    method.compile(optimizer=keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True))
    images = tf.random.stateless_uniform([batch_size, *image_shape], [flags["seed"], 0])
    batch = {
        "views": (images,) * method.views,
        "images": images,
        "labels": tf.range(batch_size) % flags["classes"],
        "index": tf.range(batch_size),
    }
    compiled = tf.function(method.train_step, autograph=False)
    return lambda: float(compiled(batch)["loss"])


if __name__ == "__main__":
    command_line.run(main)
