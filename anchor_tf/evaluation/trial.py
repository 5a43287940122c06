"""A model against labelled images: compiled once, in full batches of few static sizes."""

import copy
import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.attacks.array_calls import SMALLEST, full_batches
from anchor_tf.attacks.ascent import gradient_of
from anchor_tf.attacks.inputs import inference, whole_numbers
from anchor_tf.devices import distribution
from anchor_tf.devices.distribution import Place
from anchor_tf.errors import UserError
from anchor_tf.evaluation import inputs
from anchor_tf.evaluation.journal import Journal
from anchor_tf.evaluation.members import Member
from anchor_tf.evaluation.verification import verify
from anchor_tf.losses.classification import cross_entropy
from anchor_tf.models import memory
from anchor_tf.models.classifier import Facts, check_range
from anchor_tf.threat import Threat

NOT_FINITE = -1
ANSWERS = 20  # of a random model on an image that seems broken
_EQUAL = 1e-5  # what logits may differ by from call to call, beside the largest of them


@dataclasses.dataclass(frozen=True)
class Needs:
    """Which images of a round the journal keeps, beside all predictions.

    Attributes:
        kept: rows of the data and predictions on them, int [b] -> bool [b].
        starts: whether those still standing are kept too, until the next round is done.
    """

    kept: Callable[[np.ndarray, np.ndarray], np.ndarray]
    starts: bool = False


ALL = Needs(lambda rows, predictions: np.ones(len(rows), bool))


class Trial:
    """Classifies labelled images, clean on construction, then under attack.

    Clean and adversarial images go through the same compiled function. Every batch is full: the
    last one is padded with repeated images, whose results are dropped. Where few images are left
    to attack, the last batch is halved as often as it still holds them.

    Args:
        model: a Keras model, run in inference mode, or any function; images float32 [B, H, W, C]
            in the box -> logits [B, K], or one output, [B, 1] or [B] (see `models.classifier`).
        images: uint8, or floats in the box; [N, H, W, C].
        labels: whole numbers in [0, K); [N] or [N, 1].
        batch_size: images in a batch; no more than N are used.
        seed: of the attacks' random numbers.
        indices: integers [N], the examples' indices in their split, which key those numbers;
            0 to N - 1 by default.
        place: devices and compiler; one device without XLA by default. A batch is divided over
            the replicas of this process. Under several workers, which all make the same trial and
            the same calls, each attacks its share of the batches and reads the others' results
            from the journal.
        journal: where finished batches are kept, if they are; on storage that all workers see.
        box: smallest and largest pixel value, which every threat shares; uint8 images are scaled
            to it.

    Attributes:
        labels: int32 [N].
        facts: what the model's outputs on the clean images tell.
        clean_logits: float32 [N, K].
        clean_correct: bool [N].
        classes: K.
        image_shape: (height, width, channels).
        batch_size: images in a batch, at most N, rounded up to what the replicas can divide.
        seed: of the attacks' random numbers.
        box: smallest and largest pixel value.
        random: whether the model's outputs change from call to call. An image then counts as
            broken only where most of `ANSWERS` further answers are wrong: an attack that tries
            often enough would break any image by chance.
        classify: the compiled model, images -> logits.
        gradient: compiled, images and labels -> the cross-entropy's gradient at the images.

    Raises:
        UserError: images, labels and model do not fit together, or the model's logits on clean
            images are not finite.
    """

    def __init__(
        self,
        model: keras.Model | Callable,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        batch_size: int,
        seed: int,
        indices: np.ndarray | None = None,
        place: Place | None = None,
        journal: Journal | None = None,
        box: tuple[float, float] = (0.0, 1.0),
    ):
        labels = whole_numbers(np.asarray(labels))
        indices = np.arange(len(images)) if indices is None else np.asarray(indices)
        inputs.check_data(images, labels, indices, batch_size, Threat("linf", 0.0, *box))
        inputs.check_input(model, images)
        self._images, self.box = images, box
        self.labels = labels
        self._indices = indices
        self._place = place or Place(tf.distribute.get_strategy())
        self.batch_size = self._full(batch_size)
        self.seed = seed
        self.image_shape = images.shape[1:]
        self._journal = journal
        self._logits_fn = inference(model)
        with memory.of(self._logits_fn.model) as known:
            self.facts = self._logits_fn.facts = known.facts = known.facts or Facts()
            self.classify, self.clean_logits = self._classified()
        gradient = functools.partial(_input_gradient, self._logits_fn)
        self.gradient = distribution.spread(gradient, self._place)
        self._attacks = {}
        self.classes = self.clean_logits.shape[1]
        self.clean_correct = self.clean_logits.argmax(axis=1) == self.labels

    def subset(self, rows: np.ndarray) -> "Trial":
        """A trial of some of the images, [n] rows, that shares all that is compiled.

        The clean logits are those of the whole; nothing goes to the journal.
        """
        part = copy.copy(self)
        part._images, part._indices, part._journal = self._images[rows], self._indices[rows], None
        part.labels, part.clean_logits = self.labels[rows], self.clean_logits[rows]
        part.clean_correct = self.clean_correct[rows]
        part.batch_size = part._full(self.batch_size)
        return part

    def full_batch(self) -> tuple[tf.Tensor, tf.Tensor]:
        """The first images [B, H, W, C] and labels [B], repeated where they do not fill a batch."""
        rows = np.resize(np.arange(len(self.labels)), self.batch_size)
        return tf.constant(self.pixels(rows)), tf.constant(self.labels[rows])

    def pixels(self, rows: np.ndarray | slice) -> np.ndarray:
        """The images of these rows, float32 in the box."""
        return inputs.as_floats(self._images[rows], *self.box)

    def attack(
        self,
        member: Member,
        threat: Threat,
        place: int = 0,
        rows: np.ndarray | None = None,
        starts: np.ndarray | None = None,
        needs: Needs = ALL,
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, float]]:
        """Runs one round of an attack; yields one batch's results at a time.

        A float epsilon is compiled in; with a scalar tensor one trace serves all radii.

        Args:
            member: what to run.
            threat: norm, radius and box.
            place: which of its rounds.
            rows: the data's rows to attack; those classified correctly by default.
            starts: images to start from, [N, H, W, C], for all rows of the data.
            needs: which images the journal keeps.

        Yields:
            Rows of the data [b], adversarial images float32 [b, H, W, C], the model's predictions
            on them [b], `NOT_FINITE` where its logits are not finite, and the seconds that they
            took an earlier process, 0 if none. Images from the journal that are not needed are NaN.

        Raises:
            UserError: the threat's box is another.
            AttackError: the attack returned something outside the threat.
        """
        if (threat.low, threat.high) != self.box:
            raise UserError(
                f"the images lie in [{self.box[0]:g}, {self.box[1]:g}], the threat's box is "
                f"[{threat.low:g}, {threat.high:g}]"
            )
        rows = np.flatnonzero(self.clean_correct) if rows is None else rows
        name = _name(member, threat, place)

        def results(chosen, valid):
            found = self._journal and self._recorded(name, chosen[:valid], needs)
            if found:
                return found
            if member.rounds.carry and place and starts is None:
                raise RuntimeError("the folder of finished batches changed while it was read")
            start, began = None if starts is None else starts[chosen], time.perf_counter()
            found = self._attack_batch(member, threat, place, chosen, start)
            images, predictions = (array[:valid] for array in found)
            if self._journal:
                seconds = time.perf_counter() - began
                self._record(name, chosen[:valid], images, predictions, seconds, needs)
            return images, predictions, 0.0

        batches = self._batches_of(rows)
        workers = distribution.workers(self._place.strategy)
        if self._journal and workers.size > 1:
            for chosen, valid in batches[workers.index :: workers.size]:
                results(chosen, valid)
            distribution.barrier(self._place.strategy)
        for chosen, valid in batches:
            images, predictions, earlier = results(chosen, valid)
            yield chosen[:valid], images, predictions, earlier / workers.size

    def recorded_rounds(
        self, member: Member, threat: Threat, rows: np.ndarray, needs: Sequence[Needs]
    ) -> int:
        """How many rounds of a member the journal holds whole, with what the next one starts from.

        Args:
            member: what runs.
            threat: norm, radius and box.
            rows: the data's rows that its first round attacks.
            needs: of every round.
        """
        done, name, batches = 0, None, []
        while self._journal and done < len(member.rounds.numbers) and len(rows):
            following = [chosen[:valid] for chosen, valid in self._batches_of(rows)]
            asked = _name(member, threat, done)
            found = [self._journal.outline(asked, chosen) for chosen in following]
            if None in found:
                break
            predictions, kept = (np.concatenate(parts) for parts in zip(*found, strict=True))
            if (needs[done].kept(rows, predictions) & ~kept).any():
                break
            rows = rows[predictions == self.labels[rows]]
            done, name, batches = done + 1, asked, following
        if done == len(member.rounds.numbers) or not len(rows):
            return done
        kept = all(self._journal.read_starts(name, chosen) is not None for chosen in batches)
        return done if kept else 0

    def forget_starts(self, member: Member, threat: Threat, place: int, rows: np.ndarray) -> None:
        """Drops from the journal what the round after this one, now done, started from."""
        for chosen, valid in self._batches_of(rows) if self._journal else ():
            self._journal.forget_starts(_name(member, threat, place), chosen[:valid])

    def _batches_of(self, rows: np.ndarray) -> list[tuple[np.ndarray, int]]:
        """Rows of the data as full batches, and how many of each are not padding."""
        return [(rows[places], valid) for places, valid in full_batches(len(rows), self._sizes())]

    def _recorded(self, name: str, rows: np.ndarray, needs: Needs):
        """What the journal holds of a batch; None unless it has all images that are needed."""
        found = self._journal.read(name, rows)
        if found is None:
            return None
        images, predictions, seconds = found
        if np.isnan(images[needs.kept(rows, predictions)]).any():
            return None
        if needs.starts:
            starts = self._journal.read_starts(name, rows)
            standing = predictions == self.labels[rows]
            if starts is None or np.isnan(starts[standing]).any():
                return None
            images[standing] = starts[standing]
        return images, predictions, seconds

    def _record(self, name: str, rows, images, predictions, seconds: float, needs: Needs) -> None:
        if needs.starts:  # first: with the results the batch is done
            standing = predictions == self.labels[rows]
            self._journal.write_starts(name, rows, images, standing)
        kept = needs.kept(rows, predictions)
        self._journal.write(name, rows, images, predictions, seconds, kept)

    def _full(self, batch_size: int) -> int:
        """The batch size for these images that the replicas of this process can divide."""
        here = distribution.replicas(self._place.strategy).here
        return -(-min(batch_size, len(self._images)) // here) * here

    def _sizes(self) -> list[int]:
        """Batch sizes for attacks, the largest first: one with XLA, where each is compiled anew."""
        sizes = [self.batch_size]
        # Rounded up to many replicas, a half may be no smaller than the whole.
        while not self._place.xla and SMALLEST <= (half := self._full(sizes[-1] // 2)) < sizes[-1]:
            sizes.append(half)
        return sizes

    def _attack_batch(self, member, threat, place, rows, start):
        """Adversarial images [B, H, W, C], verified, and predictions [B] of one full batch."""
        images, labels = self.pixels(rows), self.labels[rows]
        epsilon = threat.epsilon if tf.is_tensor(threat.epsilon) else float(threat.epsilon)
        number = tf.constant(member.rounds.numbers[place])
        step = self._attack_function(member, threat)
        adversarial = step(images, labels, self._indices[rows], epsilon, start, number).numpy()
        verify(member.spec.text, adversarial, images, threat)
        logits = self.classify(adversarial).numpy()
        predictions = np.where(np.isfinite(logits).all(axis=1), logits.argmax(axis=1), NOT_FINITE)
        if self.random:
            predictions = self._settled(adversarial, labels, predictions)
        # An image that did not move keeps its prediction: in another row of the batch its logits
        # may be rounded differently, and epsilon 0 is to give the clean accuracy.
        moved = (adversarial != images).reshape(len(images), -1).any(axis=1)
        return adversarial, np.where(moved, predictions, labels)

    @functools.cached_property
    def random(self) -> bool:
        """Asks twice for the logits of one batch."""
        images, _ = self.full_batch()
        first, second = (self.classify(images).numpy() for _ in range(2))
        return bool(np.abs(first - second).max() > _EQUAL * max(1.0, np.abs(first).max()))

    def _settled(self, adversarial, labels, predictions) -> np.ndarray:
        """Predictions [B] of a random model; the label where a success does not hold."""
        if (predictions == labels).all():
            return predictions
        wrong = np.zeros(len(labels), int)
        for _ in range(ANSWERS):
            logits = self.classify(adversarial).numpy()
            wrong += (logits.argmax(axis=1) != labels) | ~np.isfinite(logits).all(axis=1)
        return np.where(2 * wrong > ANSWERS, predictions, labels)

    def _attack_function(self, member: Member, threat: Threat) -> Callable:
        """The compiled attack, kept so that other rounds, images and tensor radii reuse it."""
        radius = None if tf.is_tensor(threat.epsilon) else float(threat.epsilon)
        key = (member.spec.text, threat.norm, threat.low, threat.high, radius)
        if key not in self._attacks:

            def step(images, labels, indices, epsilon, start, number):
                keys = keyed_random.example_keys(self.seed, 0, indices)
                keys = keyed_random.fold(keys, member.spec.name)
                ball = threat.with_epsilon(epsilon)
                attack = member.rounds.attack
                return attack(self._logits_fn, images, labels, ball, keys, start, number)

            self._attacks[key] = distribution.spread(step, self._place)
        return self._attacks[key]

    def _classified(self) -> tuple[Callable, np.ndarray]:
        """The compiled model, images -> logits, and the clean logits."""
        outputs = distribution.spread(self._logits_fn.outputs, self._place)
        found = self._clean(outputs)
        self.facts.look(found)
        classify = outputs
        if self.facts.columns == 1:  # what it stands for is known from here on
            classify = distribution.spread(self._logits_fn, self._place)
            found = self._clean(classify)
        check_range(self.labels, found.shape[1])
        failed = int((~np.isfinite(found)).any(axis=1).sum())
        if failed:
            raise UserError(
                f"the model's logits are NaN or infinite on {failed} of {len(found)} clean "
                "images: its training diverged, or its weights are damaged"
            )
        return classify, found

    def _clean(self, function: Callable) -> np.ndarray:
        """What a compiled function makes of the clean images."""
        parts = []
        for rows, valid in full_batches(len(self._images), [self.batch_size]):
            found = function(self.pixels(rows)).numpy()
            if found.ndim != 2 or len(found) != len(rows):
                raise UserError(
                    f"the model should return logits [B, K]: {found.shape} for B = {len(rows)}"
                )
            parts.append(found[:valid])
        return np.concatenate(parts)


def _name(member: Member, threat: Threat, place: int) -> str:
    """What the journal files a round's batches under."""
    epsilon = float(threat.epsilon)
    return f"{threat.norm} {epsilon!r} {member.name} {member.spec.text} {place}"


def _input_gradient(logits_fn, images, labels) -> tf.Tensor:
    return gradient_of(lambda x: cross_entropy(logits_fn(x), labels), images)
