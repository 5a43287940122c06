"""How fast a method trains, and how much of that is the passes it cannot do without."""

import dataclasses
import statistics
import time
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from anchor_tf import specs
from anchor_tf.attacks.ascent import gradient_of
from anchor_tf.devices import memory, precision
from anchor_tf.devices.distribution import Place, replicas
from anchor_tf.losses.classification import cross_entropy
from anchor_tf.methods.base import Method
from anchor_tf.pipelines import augment, build
from anchor_tf.pipelines.data import Split
from anchor_tf.specs import Spec
from anchor_tf.threat import Threat
from anchor_tf.training.loop import TrainingLoop

RESIDENT = 1024  # random images that batches are drawn from


@dataclasses.dataclass(frozen=True)
class Case:
    """What is timed.

    Attributes:
        method: checked spec.
        backbone: checked spec.
        batch_size: images a global batch.
        precision: "float32", "bfloat16" or "float16".
        xla: whether XLA compiles.
    """

    method: Spec
    backbone: Spec
    batch_size: int
    precision: str
    xla: bool


@dataclasses.dataclass(frozen=True)
class Problem:
    """What all cases share.

    Attributes:
        image_shape: (height, width, channels).
        classes: number of classes.
        threat: of the attack in training.
        options: of every method, `attack_steps` for example.
        seed: of images and attacks.
    """

    image_shape: tuple[int, int, int]
    classes: int
    threat: Threat
    options: dict
    seed: int


@dataclasses.dataclass
class Timing:
    """Seconds of each turn, a training step's share of it.

    Attributes:
        step: of a training step, input included.
        wait: of that, waiting for input.
        passes: of the bare passes; empty where there are several replicas.
    """

    step: list[float] = dataclasses.field(default_factory=list)
    wait: list[float] = dataclasses.field(default_factory=list)
    passes: list[float] = dataclasses.field(default_factory=list)


class Contender:
    """A case, built and ready to take its turns.

    Args:
        case: what to build.
        problem: images and threat.
        strategy: where the replicas are.

    Attributes:
        case: what it was built from.
        timing: of its turns so far.
        memory: bytes that building it and its first step added to the process's, or on a GPU to
            the device's, peak.
    """

    def __init__(self, case: Case, problem: Problem, strategy: tf.distribute.Strategy):
        self.case, self.timing = case, Timing()
        place = Place(strategy, case.xla)
        before = memory.reset_peak()
        precision.use(case.precision, strategy.num_replicas_in_sync)
        channels = problem.image_shape[-1]
        with strategy.scope():
            backbone = specs.load(case.backbone, "anchor_tf.backbones")(
                problem.image_shape, [0.5] * channels, [0.25] * channels, **case.backbone.arguments
            )
            method = specs.load(case.method, "anchor_tf.methods")(
                backbone,
                problem.classes,
                problem.threat,
                weight_decay=5e-4,
                **case.method.arguments,
                **problem.options,
            )
            method.jit_parts = place.jit_parts
            method.compile(optimizer=keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True))
            method.optimizer.build(method.trainable_variables)
        self.method = method
        self._loop = TrainingLoop(method, strategy, place.jit_step)
        self._elements = self._loop.elements(self._batches(problem))
        alone = replicas(strategy).total == 1
        self._passes = None
        self._take(1)
        self.memory = memory.peak() - before
        if alone:
            self._passes = _bare_passes(method, case.batch_size, problem, place)
            self._passes()

    def turn(self, steps: int) -> None:
        """Takes so many training steps, then so many times the bare passes, and keeps the times."""
        began = time.perf_counter()
        waited = self._take(steps)
        passed = time.perf_counter()
        self.timing.step.append((passed - began) / steps)
        self.timing.wait.append(waited / steps)
        if self._passes:
            for _ in range(steps):
                self._passes()
            self.timing.passes.append((time.perf_counter() - passed) / steps)

    def _take(self, steps: int) -> float:
        """Takes training steps; returns the seconds that they waited for input."""
        waited = 0.0
        for _ in range(steps):
            asked = time.perf_counter()
            batch = next(self._elements)
            waited += time.perf_counter() - asked
            self._loop.step(batch)
        self.method.tracked()  # waits for the device
        return waited

    def _batches(self, problem: Problem):
        """Crops and flips of random images, as a training reads them."""
        random = np.random.default_rng(problem.seed)
        count = max(RESIDENT, self.case.batch_size)
        images = random.integers(0, 256, (count, *problem.image_shape), np.uint8)
        split = Split(images, (np.arange(count) % problem.classes).astype(np.int32))

        def batches(mine):
            return build.training_batches(
                split,
                batch_size=self.case.batch_size,
                seed=problem.seed,
                augment=augment.build(augment.check("crop(padding=4),flip")),
                views=self.method.views,
                epochs=2**20,
                replicas=mine,
            )

        return batches


def _bare_passes(method: Method, batch_size: int, problem: Problem, place: Place):
    """The passes of a training step and nothing else.

    An attack step is a forward pass in inference mode and the gradient at the pixels; training a
    forward pass in training mode and the gradient at the weights, of all views at once.
    """
    shape = [batch_size, *problem.image_shape]
    images = tf.random.stateless_uniform(shape, [problem.seed, 0])
    labels = tf.range(batch_size) % problem.classes
    attacked = method.attacked_copies * method.attack_steps
    variables = [v.value for v in method.backbone.trainable_variables]

    @tf.function(autograph=False, jit_compile=place.jit_step)
    def attack_pass(x):
        return gradient_of(lambda moved: cross_entropy(method.classify(moved), labels), x)

    @tf.function(autograph=False, jit_compile=place.jit_step)
    def training_pass(x):
        with tf.GradientTape() as tape:
            total = tf.reduce_mean(tf.cast(method.encode(x, training=True), tf.float32))
        return tape.gradient(total, variables)

    views = tf.concat([images] * method.trained_views, axis=0)

    def passes():
        for _ in range(attacked):
            result = attack_pass(images)
        if attacked:
            result.numpy()
        training_pass(views)[0].numpy()

    return passes


def summary(contender: Contender, first: Contender, examples: int, epochs: int) -> dict:
    """A case's figures: medians over the turns; ratios are taken turn by turn.

    Args:
        contender: after its turns.
        first: whose steps are 1.
        examples: images an epoch of the training to estimate.
        epochs: its epochs.
    """
    timing, case = contender.timing, contender.case
    step = statistics.median(timing.step)
    figures = {
        "method": case.method.text,
        "backbone": case.backbone.text,
        "batch_size": case.batch_size,
        "precision": case.precision,
        "xla": case.xla,
        "seconds_a_step": step,
        "images_per_second": case.batch_size / step,
        "over_first": _ratio(timing.step, first.timing.step),
        "memory_gb": contender.memory / 1e9,
        "waiting_for_input": statistics.median(timing.wait) / step,
        "hours": step * (examples // case.batch_size) * epochs / 3600,
    }
    if timing.passes:
        figures["over_bare_passes"] = _ratio(timing.step, timing.passes)
    return figures


def _ratio(one: Sequence[float], other: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(one, other, strict=True))
