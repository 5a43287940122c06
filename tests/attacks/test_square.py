"""Square: its schedule and moves against a float64 oracle, and what it may and may not reach."""

import zlib

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.attacks import square as module
from anchor_tf.attacks import square_l2, square_linf
from anchor_tf.attacks.pgd import pgd
from anchor_tf.attacks.square import square
from anchor_tf.errors import UserError
from anchor_tf.losses.classification import margin
from anchor_tf.threat import Threat
from tests.references import keyed_random as random_reference
from tests.references import square as reference

pytestmark = pytest.mark.numeric

WINDOWS = {"linf": square_linf, "l2": square_l2}
THREATS = [("linf", 0.06), ("l2", 0.4)]


def images(count=12, shape=(8, 8, 1), low=0.0, high=1.0, seed=1):
    x = np.random.default_rng(seed).uniform(low, high, size=(count, *shape))
    return tf.constant(x, tf.float32)


def network(size=64, classes=5, seed=0):
    """A smooth network whose rows do not depend on the batch."""
    generator = np.random.default_rng(seed)
    first = tf.constant(generator.normal(size=(size, 16)) / np.sqrt(size), tf.float32)
    second = tf.constant(generator.normal(size=(16, classes)), tf.float32)

    def logits_fn(x):
        hidden = tf.reduce_sum(tf.reshape(x - 0.5, [-1, size, 1]) * first, axis=1)
        return tf.reduce_sum(tf.tanh(2.0 * hidden)[..., tf.newaxis] * second, axis=1)

    return logits_fn


def labelled(logits_fn, **arguments):
    x = images(**arguments)
    return x, tf.argmax(logits_fn(x), axis=-1, output_type=tf.int32)


def attack(logits_fn, x, y, threat, seed=0, x_init=None, **arguments):
    """The attack as one graph; eager loops would take most of the tests' time."""
    return tf.function(lambda x: square(logits_fn, x, y, threat, seed, x_init, **arguments))(x)


def test_halves_right_after_the_published_queries():
    shares = module.shares(10_000, 0.8)
    for query, share in [
        *[(0, 0.8), (10, 0.8), (11, 0.4), (50, 0.4), (51, 0.2), (200, 0.2), (201, 0.1)],
        *[(500, 0.1), (501, 0.05), (1000, 0.05), (1001, 0.025), (2000, 0.025)],
        *[(2001, 0.0125), (4000, 0.0125), (4001, 0.00625), (6001, 0.003125)],
    ]:
        assert shares[query] == pytest.approx(share, rel=1e-12)
    expected = [reference.share(query, 0.3) for query in range(10_000)]
    np.testing.assert_allclose(module.shares(10_000, 0.3), expected, rtol=1e-12)


def fitted(side, norm, shape):
    """The side cut to the image; in L2 it stays odd."""
    largest = min(shape[:2])
    return min(side, largest if norm == "linf" or largest % 2 else largest - 1)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (32, 32), (20, 30), (224, 224)])
def test_sides_of_all_windows(norm, shape):
    for query in (0, 11, 51, 201, 501, 1001, 2001, 4001, 6001, 8001):
        expected = reference.side(query, 0.8, *shape, norm)
        share = reference.share(query, 0.8)
        assert WINDOWS[norm].side(share, *shape) == fitted(expected, norm, shape)


@pytest.mark.parametrize(
    ("norm", "shape", "side"), [("linf", (2, 50), 2), ("l2", (4, 4), 3), ("l2", (3, 50), 3)]
)
def test_windows_fit_the_shorter_side(norm, shape, side):
    assert WINDOWS[norm].side(1.0, *shape) == side


@pytest.mark.parametrize("size", [1, 3, 5, 6, 29])
def test_bumps(size):
    bump = square_l2.bump(size)
    np.testing.assert_allclose(bump, reference.bump(size, False), atol=1e-6)
    np.testing.assert_allclose(np.sum(bump**2), 1.0, rtol=1e-5)


def folded(seed, index, stream):
    """The key of a stream of example `index`."""
    stream = zlib.crc32(stream.encode()) if isinstance(stream, str) else stream
    return random_reference.pcg4d(seed, 0, index, stream)[:3]


@pytest.mark.parametrize("shape", [(8, 8, 1), (12, 12, 3), (16, 11, 2)])
def test_starts(shape):
    x, keys = images(4, shape), keyed_random.example_keys(7, 0, tf.range(4))
    stripes = square_linf.start(x, Threat("linf", 0.1), keys).numpy()
    tiles = square_l2.start(x, Threat("l2", 0.5), keys).numpy()
    size = min(shape[:2]) // 5
    grid = [(length - (length - 5 * size) // 2) // size for length in shape[:2]]
    count = grid[0] * grid[1] * (shape[2] + 1)
    for place, image in enumerate(x.numpy()):
        draws = random_reference.uniform(folded(7, place, "stripes"), shape[1] * shape[2])
        expected = reference.stripes(image, 0.1, draws)
        np.testing.assert_allclose(stripes[place], expected, atol=1e-6)
        draws = np.reshape(
            random_reference.uniform(folded(7, place, "tiles"), count), [*grid, shape[2] + 1]
        )
        np.testing.assert_allclose(tiles[place], reference.tiles(image, 0.5, draws), atol=1e-5)


@pytest.mark.parametrize(("norm", "epsilon", "fixed"), [("linf", 0.1, 2), ("l2", 0.5, 5)])
@pytest.mark.parametrize("shape", [(8, 8, 1), (12, 10, 3)])
def test_every_query_proposes_what_the_definition_says(norm, epsilon, fixed, shape):
    windows, threat = WINDOWS[norm], Threat(norm, epsilon)
    x, keys = images(3, shape), keyed_random.example_keys(7, 0, tf.range(3))
    best = windows.start(x, threat, keys)
    schedule = np.array([windows.side(share, *shape[:2]) for share in module.shares(5000, 0.8)])
    queries = [0, 10, 11, 60, 300, 700, 4999]
    propose = windows.proposals(x, threat, keys, tf.constant(queries), schedule)
    move, moved = getattr(reference, f"proposal_{norm}"), []
    for at, query in enumerate(queries):
        size = fitted(reference.side(query, 0.8, *shape[:2], norm), norm, shape)
        new = propose(tf.constant(at), best).numpy()
        moved.append(np.abs(new - best).max(axis=(1, 2, 3)) > 1e-3)
        for place, image in enumerate(x.numpy()):
            draws = random_reference.uniform(folded(7, place, query), fixed + shape[2])
            expected = move(image, best[place].numpy(), epsilon, size, draws)
            np.testing.assert_allclose(new[place], expected, atol=1e-5)
        best = tf.constant(new)
    assert np.mean(moved) > 0.5


@pytest.mark.parametrize(("norm", "epsilon"), THREATS)
def test_more_queries_never_lower_the_margin(norm, epsilon):
    logits_fn = network()
    x, y = labelled(logits_fn, count=30)
    threat = Threat(norm, epsilon)
    runs = [attack(logits_fn, x, y, threat, queries=queries) for queries in (1, 50, 200)]
    margins = np.stack([margin(logits_fn(run), y) for run in runs])
    standing = margins[0] <= 0
    assert standing.sum() >= 5
    assert np.all(np.diff(margins[:, standing], axis=0) >= 0)
    assert np.mean(margins[1, standing] - margins[0, standing]) > 0.05
    for before, after in ((0, 1), (1, 2)):  # broken examples change no more
        done = margins[before] > 0
        np.testing.assert_array_equal(runs[before][done], runs[after][done])
    assert 0.0 < np.mean(margins[2] > 0) < 1.0


@pytest.mark.parametrize(("norm", "epsilon"), THREATS)
def test_stretches_equal_one_run_bit_for_bit(norm, epsilon, monkeypatch):
    logits_fn = network()
    x, y = labelled(logits_fn)
    results = []
    for stretch in (300, 100, 37):
        monkeypatch.setattr(module, "_STRETCH", stretch)
        rounds = module.rounds(queries=230, initial_fraction=0.8)
        assert len(rounds.numbers) == -(-230 // stretch)
        results.append(attack(logits_fn, x, y, Threat(norm, epsilon), 5, queries=230).numpy())
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_a_stretch_finds_its_images_as_the_former_left_them():
    """Projecting them again would round some of those on the sphere."""
    constant = lambda x: tf.zeros([tf.shape(x)[0], 2]) + 0.0 * tf.reduce_sum(x)  # noqa: E731
    x, y, threat = images(count=500), tf.zeros([500], tf.int32), Threat("l2", 0.3)
    keys = keyed_random.as_keys(0, x)
    former = square_l2.start(x, threat, keys)
    rounds = module.rounds(queries=120, initial_fraction=0.8)
    result = rounds.attack(constant, x, y, threat, keys, former, tf.constant(100))
    np.testing.assert_array_equal(result, former)


@pytest.mark.parametrize(("norm", "epsilon"), THREATS)
@pytest.mark.parametrize("shape", [(8, 8, 1), (6, 9, 3)])
def test_stays_inside_ball_and_box(norm, epsilon, shape):
    logits_fn = network(size=int(np.prod(shape)))
    x, y = labelled(logits_fn, shape=shape)
    threat = Threat(norm, epsilon)
    perturbed = attack(logits_fn, x, y, threat, 3, queries=120)
    distance = threat.distance(perturbed, x).numpy()
    assert distance.max() <= epsilon + 1e-6
    assert distance.min() > 0.5 * epsilon
    assert np.min(perturbed) >= 0.0
    assert np.max(perturbed) <= 1.0


@pytest.mark.parametrize(("norm", "epsilon"), THREATS)
def test_on_the_sphere_where_the_box_does_not_cut(norm, epsilon):
    logits_fn = network()
    x, y = labelled(logits_fn, low=0.45, high=0.55)
    threat = Threat(norm, epsilon)
    perturbed = attack(logits_fn, x, y, threat, queries=60)
    np.testing.assert_allclose(threat.distance(perturbed, x), epsilon, rtol=1e-5)


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.1), ("l2", 0.8)])
def test_breaks_masked_gradients_that_pgd_does_not(norm, epsilon):
    """Rounding to 16 levels has no gradient; Square needs none."""
    smooth = network()
    quantised = lambda x: smooth(tf.round(x * 16.0) / 16.0 + 0.0 * x)  # noqa: E731
    x, y = labelled(quantised, count=40)
    threat = Threat(norm, epsilon)
    accuracy = {
        "pgd": margin(quantised(pgd(quantised, x, y, threat, random_start=False)), y) <= 0,
        "square": margin(quantised(attack(quantised, x, y, threat, queries=200)), y) <= 0,
    }
    assert np.mean(accuracy["pgd"]) == 1.0
    assert np.mean(accuracy["square"]) < 0.6


@pytest.mark.parametrize(("norm", "epsilon"), THREATS)
def test_depends_on_the_example_key_alone(norm, epsilon):
    logits_fn = network()
    x, y = labelled(logits_fn)
    keys = keyed_random.example_keys(1, 0, tf.range(100, 112))
    threat = Threat(norm, epsilon)
    whole = attack(logits_fn, x, y, threat, keys, queries=60)
    part = attack(logits_fn, x[5:9], y[5:9], threat, keys[5:9], queries=60)
    np.testing.assert_array_equal(whole[5:9], part)
    other = attack(logits_fn, x, y, threat, 2, queries=60)
    assert np.abs(whole - other).max() > 0.01


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_epsilon_zero_changes_nothing(norm):
    logits_fn = network()
    x, y = labelled(logits_fn)
    np.testing.assert_array_equal(attack(logits_fn, x, y, Threat(norm, 0.0), queries=20), x)


@pytest.mark.parametrize(("norm", "epsilon"), THREATS)
def test_x_init_is_where_the_search_begins(norm, epsilon):
    constant = lambda x: tf.zeros([tf.shape(x)[0], 2]) + 0.0 * tf.reduce_sum(x)  # noqa: E731
    x, y, threat = images(low=0.3, high=0.7), tf.zeros([12], tf.int32), Threat(norm, epsilon)
    init = x + tf.reshape(tf.linspace(0.01, 0.3, 12), [-1, 1, 1, 1])
    result = attack(constant, x, y, threat, 0, init, queries=150)
    np.testing.assert_allclose(result, threat.project(init, x), atol=1e-6)
    assert 0 < np.mean(np.abs(result - init).max(axis=(1, 2, 3)) > 1e-3) < 1


def passes(logits_fn, x, y, epsilon, queries):
    """How often the attack runs the model."""
    counter = tf.Variable(0)

    def counted(images):
        counter.assign_add(1)
        return logits_fn(images)

    attack(counted, x, y, Threat("linf", epsilon), queries=queries)
    return int(counter)


def test_costs_one_pass_a_query_and_stops_when_nothing_stands():
    logits_fn = network()
    x, y = labelled(logits_fn)
    # 130 queries, the first pass of each stretch, and the check between the two.
    assert passes(logits_fn, x, y, 1e-6, 130) == 130 + 2 + 1
    assert module.passes(queries=130, initial_fraction=0.8) == (130 + 2, 0)
    # Where nothing stands the second stretch is skipped: the first pass, and the check.
    assert passes(logits_fn, x, (y + 1) % 5, 1e-6, 130) == 1 + 1


def test_one_trace_serves_all_stretches():
    logits_fn, calls = network(), []
    x, y = labelled(logits_fn)

    def counted(images):
        calls.append(images)
        return logits_fn(images)

    rounds, keys = module.rounds(queries=400, initial_fraction=0.8), keyed_random.as_keys(0, x)
    assert rounds.carry
    threat = Threat("linf", 0.01)
    stretch = tf.function(lambda x, number: rounds.attack(counted, x, y, threat, keys, x, number))
    for number in rounds.numbers:
        stretch(x, tf.constant(number))
    assert len(calls) == 2


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_graph_equals_eager_with_a_tensor_for_epsilon(norm):
    logits_fn = network()
    x, y = labelled(logits_fn)
    threat = Threat(norm, 0.0).with_epsilon(tf.constant(0.1))
    eager = square(logits_fn, x, y, threat, 4, queries=12)
    np.testing.assert_allclose(attack(logits_fn, x, y, threat, 4, queries=12), eager, atol=1e-5)


@pytest.mark.parametrize(
    "arguments", [{"queries": 0}, {"initial_fraction": 0.0}, {"initial_fraction": 1.5}]
)
def test_bad_arguments_are_refused(arguments):
    logits_fn = network()
    x, y = labelled(logits_fn)
    with pytest.raises(UserError, match=next(iter(arguments))):
        square(logits_fn, x, y, Threat("linf", 0.1), **arguments)


@pytest.mark.parametrize(("norm", "shape"), [("l2", (2, 8, 1)), ("linf", (64,))])
def test_images_that_hold_no_window_are_refused(norm, shape):
    logits_fn = network(size=int(np.prod(shape)))
    x, y = labelled(logits_fn, shape=shape)
    with pytest.raises(UserError, match="H and W"):
        square(logits_fn, x, y, Threat(norm, 0.1))
