"""APGD against an independent loop, step by step, and against models whose optimum is known."""

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.attacks import adaptive_ascent
from anchor_tf.attacks.apgd import apgd, random_start, rounds
from anchor_tf.errors import UserError
from anchor_tf.losses.classification import margin
from anchor_tf.threat import Threat
from tests.references import apgd as reference

pytestmark = pytest.mark.numeric

OBJECTIVES = ["ce", "dlr", "targeted_dlr"]
# Slope of the small network and radius. Rough: both rules that halve the step size are needed.
# Smooth: a few steps in float32 come out as in float64.
ROUGH = {"linf": (6.0, 0.1), "l2": (3.0, 0.15)}
SMOOTH = {"linf": (2.0, 0.06), "l2": (2.0, 0.2)}


def terrain(norm, objective, slope, epsilon, count=20):
    """A network, images [N, 12] in float64, starts, and (labels,) or (labels, targets)."""
    network = reference.Network(slope=slope)
    generator = np.random.default_rng(1)
    x = generator.uniform(0.05, 0.95, (count, 12))
    order = np.argsort([-network.logits(row) for row in x], axis=1)
    start = x + generator.uniform(-1, 1, x.shape) * (epsilon if norm == "linf" else epsilon / 4)
    classes = (order[:, 0], order[:, 1])
    return network, x, start, classes if objective == "targeted_dlr" else classes[:1]


def expected(norm, epsilon, objective, steps, network, x, start, classes):
    return [
        reference.apgd(network, *row[:2], norm, epsilon, steps, objective, *row[2:])
        for row in zip(x, start, *classes, strict=True)
    ]


def stepped(norm, epsilon, objective, steps, network, x, start, classes):
    """Step sizes and best losses [steps, N] of our loop, in float64 on the reference's losses."""

    def evaluate(images):
        rows = [
            reference.look(network, objective, image, *named)
            for image, *named in zip(images.numpy(), *classes, strict=True)
        ]
        loss, gradient, fooled = zip(*rows, strict=True)
        return tf.constant(loss), tf.constant(fooled), tf.constant(np.array(gradient))

    threat = Threat(norm, epsilon)
    x = tf.constant(x)
    state = adaptive_ascent.begin(evaluate, threat.project(tf.constant(start), x), threat)
    step_sizes, best_losses = [], []
    for place, window in enumerate(adaptive_ascent.windows(steps)):
        step_sizes.append(state.step_size.numpy())
        state = adaptive_ascent.advance(state, place, window, evaluate, x, threat)
        best_losses.append(state.best_loss.numpy())
    return np.array(step_sizes), np.array(best_losses), state.step_size.numpy()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_follows_the_independent_loop_step_by_step(norm):
    rules = []
    for objective in OBJECTIVES:
        slope, epsilon = ROUGH[norm]
        setting = terrain(norm, objective, slope, epsilon)
        runs = expected(norm, epsilon, objective, 100, *setting)
        step_sizes, best_losses, last = stepped(norm, epsilon, objective, 100, *setting)
        np.testing.assert_array_equal(step_sizes.T, [run["step_sizes"] for run in runs])
        np.testing.assert_array_equal(last, [run["last_step_size"] for run in runs])
        np.testing.assert_allclose(best_losses.T, [run["best_losses"] for run in runs], atol=1e-4)
        rules += [rule for run in runs for rule in run["rules"]]
    # (oscillates, unchanged): each rule has halved alone, and some checkpoints did not halve.
    for rule in [(True, False), (False, True), (False, False)]:
        assert rule in rules


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_returns_the_image_of_the_independent_loop(norm, objective):
    """The compiled attack in float32, for a few steps.

    Where the gradient vanishes, as that of DLR does if the label ranks third, rounding decides the
    direction: such runs are left out.
    """
    slope, epsilon = SMOOTH[norm]
    network, x, start, classes = terrain(norm, objective, slope, epsilon)
    runs = expected(norm, epsilon, objective, 8, network, x, start, classes)

    @tf.function
    def attack(x, y, start):
        arguments = {"objective": objective, "steps": 8, "targets": 1}
        return apgd(float32(network), x, y, Threat(norm, epsilon), x_init=start, **arguments)

    y = classes[0]
    images = attack(np.float32(x), np.int32(y), np.float32(start)).numpy()
    wanted = np.array([run["image"] for run in runs])
    clear = np.array([run["smallest_gradient"] > 1e-4 for run in runs])
    assert clear.sum() >= (8 if objective == "dlr" else 20)
    np.testing.assert_allclose(images[clear], wanted[clear], atol=1e-5)
    broken = [np.argmax(network.logits(row)) != label for row, label in zip(wanted, y, strict=True)]
    assert 3 <= sum(broken) <= 17


def halvings(start, losses):
    """After which of 100 steps the size is halved, if the start and the steps have these losses."""
    script = iter([start, *losses])
    evaluate = lambda images: (  # noqa: E731
        tf.constant([next(script)], tf.float32),
        tf.constant([False]),
        tf.ones_like(images),
    )
    x, threat = tf.fill([1, 2], 0.5), Threat("linf", 0.1)
    state, result = adaptive_ascent.begin(evaluate, x, threat), []
    for place, window in enumerate(adaptive_ascent.windows(100)):
        before = state.step_size
        state = adaptive_ascent.advance(state, place, window, evaluate, x, threat)
        if state.step_size[0] < before[0]:
            result.append(place + 1)
    return result


def test_an_unchanged_best_loss_halves_at_every_other_checkpoint_but_the_first():
    assert halvings(1000, range(1, 101)) == [41, 70, 87, 99]
    assert halvings(-1, range(1, 101)) == []


def test_at_most_three_rises_in_four_halve():
    rising = lambda falls: np.cumsum(np.where(np.isin(range(1, 101), falls), -0.9, 1))  # noqa: E731
    # Windows of 22 and of 16 steps: 17 and 13 rises are needed, 16 and 12 too few.
    assert halvings(0, rising([2, 4, 6, 8, 10])) == []
    assert halvings(0, rising([2, 4, 6, 8, 10, 12])) == [22]
    assert halvings(0, rising([43, 45, 47])) == []
    assert halvings(0, rising([43, 45, 47, 49])) == [57]


def test_the_first_step_is_compared_with_zero_not_with_the_start():
    falls = [4, 6, 8, 10, 12]
    rises = np.cumsum(np.where(np.isin(range(1, 101), falls), -0.9, 1))
    assert halvings(-5, rises - 0.5) == []
    assert halvings(-5, rises - 1.5) == [22]
    assert halvings(0.8, rises - 0.5) == []


def float32(network):
    inner, outer = (tf.constant(w.T, tf.float32) for w in (network.inner, network.outer))
    inner_bias, outer_bias = (
        tf.constant(b, tf.float32) for b in (network.inner_bias, network.outer_bias)
    )
    return lambda x: tf.tanh((x - 0.5) @ inner + inner_bias) @ outer + outer_bias


def test_reference_gradients_are_finite_differences():
    for objective in OBJECTIVES:
        network, x, _, classes = terrain("linf", objective, 2.0, 0.1, count=3)
        for image, *named in zip(x, *classes, strict=True):
            _, gradient, _ = reference.look(network, objective, image, *named)
            for pixel in range(12):
                shift = np.eye(12)[pixel] * 1e-5
                above, below = (
                    reference.OBJECTIVES[objective](network.logits(point), *named)[0]
                    for point in (image + shift, image - shift)
                )
                numerical = (above - below) / 2e-5
                np.testing.assert_allclose(gradient[pixel], numerical, rtol=1e-4, atol=1e-5)


def test_checkpoints_of_a_hundred_steps():
    lengths = adaptive_ascent.windows(100)
    ends = [place + 1 for place, length in enumerate(lengths) if length]
    assert ends == [22, 41, 57, 70, 80, 87, 93, 99]
    assert [length for length in lengths if length] == [22, 19, 16, 13, 10, 7, 6, 6]
    assert adaptive_ascent.windows(1) == [1]
    assert adaptive_ascent.windows(10) == [0, 2, 1, 1, 1, 1, 1, 1, 1, 1]


def linear(idle=0):
    """Two classes with random slopes, and `idle` classes that always come last."""
    weights = np.random.default_rng(0).normal(size=(16, 2)).astype(np.float32)

    def logits_fn(images):
        logits = tf.reshape(images - 0.5, [-1, 16]) @ weights
        idles = -20.0 - tf.range(idle, dtype=tf.float32) * tf.ones_like(logits[:, :1])
        return tf.concat([logits, idles], axis=1)

    return weights, logits_fn


def examples(logits_fn, count=20):
    x = np.random.default_rng(1).uniform(0.3, 0.7, size=(count, 4, 4, 1)).astype(np.float32)
    x = tf.constant(x)
    return x, tf.argmax(logits_fn(x), axis=-1, output_type=tf.int32)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(("norm", "dual_order"), [("linf", 1), ("l2", 2)])
def test_flips_just_above_the_distance_and_not_just_below(objective, norm, dual_order):
    weights, logits_fn = linear(idle=2)
    x, y = examples(logits_fn)
    slope = np.linalg.norm(weights[:, 0] - weights[:, 1], ord=dual_order)
    distances = -margin(logits_fn(x), y).numpy() / slope
    near = np.flatnonzero(distances < 0.3)  # the box is further away than the boundary
    assert len(near) >= 5
    attack = tf.function(
        lambda x, y, epsilon: apgd(
            logits_fn, x, y, Threat(norm, epsilon), objective=objective, steps=40, targets=1
        )
    )
    for place in near[:8]:
        one, label = x[place : place + 1], y[place : place + 1]
        for factor, broken in ((1.02, True), (0.99, False)):
            perturbed = attack(one, label, tf.constant(factor * distances[place]))
            assert (margin(logits_fn(perturbed), label).numpy()[0] > 0) == broken


def test_reaches_the_exact_optimum_inside_the_box():
    weights, logits_fn = linear()
    x, y = examples(logits_fn)
    perturbed = apgd(logits_fn, x, y, Threat("linf", 0.05), steps=20)
    sign = np.where(y.numpy() == 0, -1.0, 1.0)[:, None]
    best = np.sign(weights[:, 0] - weights[:, 1])[None] * sign * 0.05
    np.testing.assert_allclose((perturbed - x).numpy().reshape(20, 16), best, atol=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.6), ("l2", 2.0), ("linf", 0.0)])
def test_stays_inside_ball_and_box(norm, epsilon, objective):
    _, logits_fn = linear(idle=2)
    x, y = examples(logits_fn)
    threat = Threat(norm, epsilon)
    perturbed = apgd(logits_fn, x, y, threat, 3, objective=objective, steps=5, targets=1)
    assert np.max(threat.distance(perturbed, x)) <= (epsilon + 1e-6 if epsilon else 0.0)
    assert np.min(perturbed) >= 0.0
    assert np.max(perturbed) <= 1.0


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_starts_on_the_sphere(norm):
    threat = Threat(norm, 0.1)
    x = tf.fill([50, 4, 4, 1], 0.5)
    start = random_start(x, threat, keyed_random.as_keys(0, x))
    np.testing.assert_allclose(threat.distance(start, x), 0.1, rtol=1e-5)
    assert np.std((start - x)[:, 0, 0, 0]) > 0.01
    at_the_edge = random_start(0.0 * x, threat, keyed_random.as_keys(0, x))
    assert np.min(at_the_edge) == 0.0


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_an_example_depends_on_its_key_alone(norm, objective):
    slope, epsilon = SMOOTH[norm]
    network, x, _, classes = terrain(norm, "ce", slope, epsilon)
    x, y = tf.constant(x, tf.float32), tf.constant(classes[0], tf.int32)
    threat = Threat(norm, epsilon)
    keys = keyed_random.example_keys(1, 0, tf.range(100, 120))
    arguments = {"objective": objective, "steps": 3, "targets": 2}
    whole = apgd(float32(network), x, y, threat, keys, **arguments)
    part = apgd(float32(network), x[5:9], y[5:9], threat, keys[5:9], **arguments)
    np.testing.assert_allclose(whole[5:9], part, atol=1e-5)
    other = apgd(float32(network), x, y, threat, 2, **arguments)
    assert np.abs(whole - other).max() > 0.01


def test_restarts_and_ranks_draw_starts_of_their_own():
    """On a constant model nothing moves: each round returns its start."""
    x, y = tf.fill([3, 4, 4, 1], 0.5), tf.zeros([3], tf.int32)
    flat = lambda images: tf.constant([[3.0, 2, 1, 0]] * 3) + 0 * tf.reduce_sum(images)  # noqa: E731
    keys = keyed_random.as_keys(0, x)
    found = []
    for objective, targets in (("ce", 9), ("dlr", 9), ("targeted_dlr", 3)):
        attack = rounds(objective=objective, steps=1, restarts=2, targets=targets, samples=1)
        assert len(attack.numbers) == 2 * (targets if objective == "targeted_dlr" else 1)
        for number in attack.numbers:
            arguments = (flat, x, y, Threat("linf", 0.1), keys, None, tf.constant(number))
            found.append(attack.attack(*arguments).numpy())
    for place, first in enumerate(found):
        for second in found[:place]:
            assert np.abs(first - second).max() > 0.02


def test_restarts_keep_what_one_of_them_broke():
    """Only starts in one corner see a slope: more restarts break more examples."""

    def pocket(images):
        inside = tf.reshape(images, [-1, 16])[:, 0] > 0.55
        logit = tf.where(inside, 1.0, -1.0) + 0.0 * tf.reduce_sum(images, axis=[1, 2, 3])
        return tf.stack([tf.zeros_like(logit), logit], axis=1)

    x, y = tf.fill([64, 4, 4, 1], 0.5), tf.zeros([64], tf.int32)
    broken = []
    for restarts in (1, 4):
        result = apgd(pocket, x, y, Threat("linf", 0.1), 0, steps=1, restarts=restarts)
        broken.append(np.mean(margin(pocket(result), y) > 0))
    assert 0.1 < broken[0] < 0.45
    assert broken[1] > broken[0] + 0.2


def second_rival(images):
    """Class 1 comes closest but cannot be reached; class 2 can, by raising the image."""
    rise = tf.reduce_mean(images, axis=[1, 2, 3]) - 0.5
    nothing = tf.zeros_like(rise)
    return tf.stack([nothing, nothing - 0.1, 4 * rise - 0.2, nothing - 3, nothing - 4], axis=1)


def test_another_target_breaks_what_the_first_cannot():
    x, y = tf.fill([6, 4, 4, 1], 0.5), tf.zeros([6], tf.int32)
    broken = []
    for targets in (1, 2, 9):  # 9: more than there are
        result = apgd(
            second_rival,
            x,
            y,
            Threat("linf", 0.1),
            objective="targeted_dlr",
            steps=5,
            targets=targets,
        )
        broken.append(np.mean(margin(second_rival(result), y) > 0))
    assert broken == [0.0, 1.0, 1.0]


def test_rounds_beyond_the_last_class_take_no_step():
    x, y = tf.fill([6, 4, 4, 1], 0.5), tf.zeros([6], tf.int32)
    threat, keys = Threat("linf", 0.1), keyed_random.as_keys(0, x)
    attack = rounds(objective="targeted_dlr", steps=10, restarts=1, targets=9, samples=1).attack
    moved = []
    for number in range(9):
        result = attack(second_rival, x, y, threat, keys, x, tf.constant(number))
        moved.append(np.abs(result - x).max() > 0.01)
    assert moved == [True] * 4 + [False] * 5


def test_targets_are_classes_other_than_the_label_even_if_it_ranks_lower():
    x, y = tf.fill([2, 4, 4, 1], 0.5), tf.constant([1, 1])
    attack = rounds(objective="targeted_dlr", steps=10, restarts=1, targets=2, samples=1).attack
    start = tf.fill([2, 4, 4, 1], 0.45)
    arguments = (second_rival, x, y, Threat("linf", 0.1), keyed_random.as_keys(0, x), start)
    # Of classes 0, 2, 3, 4 the second largest is 2; counting class 1, it would be 1 itself.
    raised = attack(*arguments, tf.constant(1)).numpy()
    np.testing.assert_allclose(raised, 0.6, atol=1e-5)


def test_a_misclassified_start_counts():
    """The model errs at the start alone; the loss is higher where it does not, between rivals."""

    def pocket(images):
        height = tf.reshape(images, [-1, 16])[:, 0]
        inside = (height > 0.41) & (height < 0.43)
        first = tf.where(inside, 0.63, 0.3) + height
        second = tf.where(inside, -9.0, 0.3) + height
        return tf.stack([tf.ones_like(height), first, second], axis=1)

    x, y = tf.fill([1, 4, 4, 1], 0.5), tf.zeros([1], tf.int32)
    start = tf.fill([1, 4, 4, 1], 0.42)
    result = apgd(pocket, x, y, Threat("linf", 0.1), x_init=start, steps=3)
    np.testing.assert_allclose(result, start, atol=1e-6)


def test_the_last_misclassified_iterate_is_kept_not_the_best():
    """Everything is misclassified and the only step overshoots the highest loss."""

    def overshoot(images):
        height = tf.reshape(images, [-1, 16])[:, 0]
        return tf.stack([tf.zeros_like(height), 5.0 - tf.abs(height - 0.5)], axis=1)

    x, y = tf.fill([1, 4, 4, 1], 0.5), tf.zeros([1], tf.int32)
    result = apgd(overshoot, x, y, Threat("linf", 0.1), x_init=x - 0.01, steps=1)
    np.testing.assert_allclose(tf.reshape(result, [-1])[0], 0.6, atol=1e-6)


def test_samples_average_the_gradient():
    """Each sample sees one pixel, in turn; all is misclassified, so the last iterate is kept."""
    x, y = tf.fill([1, 4, 4, 1], 0.5), tf.zeros([1], tf.int32)
    calls = tf.Variable(0)

    def in_turn(images):
        pixel = tf.one_hot(calls.assign_add(1) % 16, 16)
        rise = tf.reshape(images, [-1, 16]) @ pixel[:, None]
        return tf.concat([tf.zeros_like(rise), rise], axis=1)

    moved = []
    for samples in (1, 16):
        result = apgd(in_turn, x, y, Threat("l2", 0.1), x_init=x, steps=1, samples=samples)
        moved.append(np.sum(np.abs(result - x) > 0.01))
    assert moved == [1, 16]


def test_graph_equals_eager_and_xla():
    network, x, _, classes = terrain("linf", "ce", *SMOOTH["linf"])
    x, y = tf.constant(x, tf.float32), tf.constant(classes[0], tf.int32)

    def attack(x, y):
        arguments = {"objective": "targeted_dlr", "steps": 4, "targets": 1}
        return apgd(float32(network), x, y, Threat("linf", 0.06), 4, **arguments)

    eager = attack(x, y)
    np.testing.assert_allclose(tf.function(attack)(x, y), eager, atol=1e-5)
    np.testing.assert_allclose(tf.function(attack, jit_compile=True)(x, y), eager, atol=1e-5)


def test_finite_at_huge_logits():
    _, logits_fn = linear(idle=2)
    x, y = examples(logits_fn)
    for objective in OBJECTIVES:
        arguments = {"objective": objective, "steps": 5, "targets": 1}
        perturbed = apgd(lambda x: 1e4 * logits_fn(x), x, y, Threat("l2", 0.1), **arguments)
        assert np.all(np.isfinite(perturbed))


@pytest.mark.parametrize(
    "arguments", [{"steps": 0}, {"restarts": 0}, {"targets": 0}, {"samples": 0}]
)
def test_bad_arguments_are_refused(arguments):
    _, logits_fn = linear()
    x, y = examples(logits_fn)
    with pytest.raises(UserError, match="at least 1"):
        apgd(logits_fn, x, y, Threat("linf", 0.1), **arguments)


def test_an_unknown_objective_or_too_few_classes_are_refused():
    _, logits_fn = linear(idle=1)
    x, y = examples(logits_fn)
    threat = Threat("linf", 0.1)
    with pytest.raises(UserError, match=r"is unknown: .*known: ce, dlr, targeted_dlr"):
        apgd(logits_fn, x, y, threat, objective="cw")
    with pytest.raises(UserError, match="at least 4 classes and the model has 3"):
        apgd(logits_fn, x, y, threat, objective="targeted_dlr")
    with pytest.raises(UserError, match="at least 3 classes and the model has 2"):
        apgd(lambda x: logits_fn(x)[:, :2], x, y, threat, objective="dlr")
