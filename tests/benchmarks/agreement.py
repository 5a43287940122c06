"""Robust accuracies of finished runs, by our attacks and by torchattacks', side by side.

Both see the same images and the same weights (`counterpart`). Where nothing is left to chance (PGD
from the clean image, APGD from a given start) one run of each is compared; elsewhere random starts
are each side's own and accuracies are averaged over seeds. Exit status 1 if any pair differs by
more than --tolerance points. README.md says how to set up and run it.

Where torchattacks 3.5.1 departs from the AutoAttack authors' code, read in its source:

- `APGD`, `APGDT` and `FAB` take 10 steps unless told otherwise, the authors' 100, and its
  `AutoAttack` leaves them at 10: its figures are too high. Here the steps are given.
- `APGDT` in L2 moves every example by the step size of the first one in the batch
  (`step_size[0]`); in L-inf each has its own. Hence only L-inf is compared.
- `APGD` and `APGDT` count on the CPU in NumPy what the authors count on the device; without 1e-12
  in the denominator of the L-inf start; and with 1e-12 added to the length in the second L2
  projection. None of it changes a figure.
- No `x_init`, no L1, no CE-targeted loss, no warnings about masked gradients.
- The global generator is seeded anew in every call (the authors do so too), so that batches of the
  same size begin with the same noise.

Otherwise its APGD is the authors': start at eps t / max|t|, first step 2 eps, momentum .75, the
checkpoints, both rules for halving, the restart from the best point, and the last misclassified
iterate as the result. Its `PGD` differs from ours in name only: `eps` and `alpha` are radius and
step in units of [0, 1], uniform start, last iterate; it takes the mean of the losses, which
leaves signs alone unless a gradient underflows, attacks images that are misclassified already,
and knows L-inf only (`PGDL2` is another class).
"""

import argparse
import sys
from unittest import mock

import numpy as np

from anchor_tf import config, specs
from anchor_tf.errors import UserError
from anchor_tf.pipelines import load
from anchor_tf.pipelines.data import Split
from anchor_tf.pipelines.splits import subset
from anchor_tf.terminal import command_line
from anchor_tf.workdir import Workdir

LOGIT_TOLERANCE = 1e-4
ENOUGH = 500


def main() -> int:
    """Compares every run; returns the exit status."""
    arguments = parse()
    agreed = True
    for folder in arguments.workdir:
        agreed &= compare(Workdir(folder), arguments)
    return 0 if agreed else 1


def parse() -> argparse.Namespace:
    """The command line."""

    def radius(text: str) -> float:
        return float(specs.parse_value(text))

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", nargs="+", required=True, help="folders of finished runs")
    parser.add_argument("--examples", type=int, help="images; all by default")
    parser.add_argument("--epsilon", type=radius, help="such as 8/255; the run's by default")
    parser.add_argument("--pgd_steps", type=int, default=20)
    parser.add_argument("--apgd_steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5, help="runs of each attack with chance")
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--tolerance", type=float, default=0.5, help="points")
    return parser.parse_args()


def compare(workdir: Workdir, arguments: argparse.Namespace) -> bool:
    """Prints the table of one run; returns whether all its figures agree."""
    run, _ = config.load(workdir.config)
    split = images_of(run.dataset, arguments.examples)
    epsilon = run.epsilon if arguments.epsilon is None else arguments.epsilon
    command_line.import_tensorflow()

    import tensorflow as tf
    from counterpart import Counterpart

    from anchor_tf.models import model_file

    tf.get_logger().setLevel("ERROR")
    ours = model_file.load(workdir.model)
    theirs = Counterpart(ours)
    check_logits(ours, theirs, split)
    print(f"{workdir.path}: {run.method}, {run.dataset}, {len(split)} images, L-inf {epsilon:g}")
    print(f"{'attack':<22}{'ours %':>9}{'theirs %':>10}{'points':>8}  by seed, ours | theirs")
    agreed = True
    for name, (contest, seeds) in contests(ours, theirs, split, epsilon, arguments).items():
        figures = np.array([contest(seed) for seed in range(seeds)])
        our_mean, their_mean = figures.mean(axis=0)
        difference = our_mean - their_mean
        agreed &= bool(abs(difference) <= arguments.tolerance)
        by_seed = " | ".join(" ".join(f"{value:.2f}" for value in side) for side in figures.T)
        flag = "" if abs(difference) <= arguments.tolerance else "  DIFFERS"
        row = f"{name:<22}{our_mean:>9.2f}{their_mean:>10.2f}{difference:>+8.2f}"
        print(f"{row}  {by_seed}{flag}", flush=True)
    return agreed


def images_of(dataset: str, examples: int | None) -> Split:
    """The test split, with the validation split where the test split alone is small."""
    data = load.load(load.check(specs.parse(dataset)))
    split = data.test
    if len(split) < ENOUGH:
        parts = (data.test, data.validation)
        split = Split(
            np.concatenate([part.images for part in parts]),
            np.concatenate([part.labels for part in parts]),
        )
    if examples is not None:
        split, _ = subset(split, examples, seed=0)
    images = split.images
    if images.dtype == np.uint8:
        images = images.astype(np.float32) / np.float32(255.0)
    return Split(images, split.labels)


def contests(ours, theirs, split: Split, epsilon: float, arguments) -> dict:
    """Name -> (a function of a seed that returns both accuracies, how many seeds to run)."""
    import torchattacks

    from anchor_tf.threat import Threat

    steps, batch_size = arguments.pgd_steps, arguments.batch_size
    step_size = 2.5 * epsilon / steps
    shared = {"eps": epsilon, "steps": arguments.apgd_steps}
    classes = min(10, 1 + int(split.labels.max()))

    def contest(text, attack):
        def accuracies(seed):
            our_figure = our_accuracy(ours, split, text, Threat("linf", epsilon), seed, batch_size)
            return our_figure, their_accuracy(theirs, split, attack(seed), seed, batch_size)

        return accuracies

    def pgd(random_start):
        text = f"pgd(steps={steps},step_size={step_size!r},random_start={random_start})"
        return contest(
            text, lambda _: torchattacks.PGD(theirs, epsilon, step_size, steps, random_start)
        )

    def apgd(loss):
        text = f"apgd(steps={arguments.apgd_steps},objective={loss})"
        return contest(text, lambda seed: torchattacks.APGD(theirs, loss=loss, seed=seed, **shared))

    def from_given_start(loss):
        attack = torchattacks.APGD(theirs, loss=loss, **shared)
        return lambda seed: given_start(ours, theirs, split, attack, batch_size)

    targeted = contest(
        f"apgd(steps={arguments.apgd_steps},objective=targeted_dlr,targets={classes - 1})",
        lambda seed: torchattacks.APGDT(theirs, n_classes=classes, seed=seed, **shared),
    )
    return {
        "pgd from x": (pgd(False), 1),
        "apgd ce, given start": (from_given_start("ce"), 1),
        "apgd dlr, given start": (from_given_start("dlr"), 1),
        "pgd": (pgd(True), arguments.seeds),
        "apgd ce": (apgd("ce"), arguments.seeds),
        "apgd dlr": (apgd("dlr"), arguments.seeds),
        "apgd targeted": (targeted, arguments.seeds),
    }


def check_logits(ours, theirs, split: Split) -> None:
    """Checks that the two networks are one, relative to the largest logit where that is above 1.

    Raises:
        UserError: they are not.
    """
    import torch
    from counterpart import as_torch

    images = split.images[:128]
    expected = np.asarray(ours(images, training=False))
    with torch.no_grad():
        logits = theirs(as_torch(images)).numpy()
    difference = np.abs(logits - expected).max()
    if not difference <= LOGIT_TOLERANCE * max(1.0, np.abs(expected).max()):
        raise UserError(f"the PyTorch network is another one: its logits differ by {difference:g}")


def our_accuracy(model, split: Split, text: str, threat, seed: int, batch_size: int) -> float:
    """Robust accuracy in percent, by our evaluation."""
    from anchor_tf.evaluation import runner

    spec = specs.check_list(text, "anchor_tf.attacks", "attack")[0]
    evaluation = runner.evaluate(
        model, split.images, split.labels, [spec], threat, batch_size=batch_size, seed=seed
    )
    return 100.0 * evaluation.attacks[0].accuracy


def their_accuracy(model, split: Split, attack, seed: int, batch_size: int) -> float:
    """Share of images, in percent, that are classified correctly before and after their attack."""
    import torch

    torch.manual_seed(seed)
    correct = 0
    for images, labels in torch_batches(split, batch_size):
        kept = still_right(model, images, labels)
        kept &= still_right(model, attack(images, labels), labels)
        correct += int(kept.sum())
    return 100.0 * correct / len(split)


def given_start(ours, theirs, split: Split, attack, batch_size: int) -> tuple[float, float]:
    """Accuracies under their APGD and ours, both from the same random images.

    Their start cannot be given: it is given to them as what their random numbers are.
    """
    import tensorflow as tf
    import torch

    from anchor_tf.attacks.apgd import apgd
    from anchor_tf.threat import Threat

    threat = Threat("linf", attack.eps)
    logits_fn = lambda images: ours(images, training=False)  # noqa: E731

    @tf.function(autograph=False)
    def ascend(x, y, start):
        return apgd(
            logits_fn, x, y, threat, x_init=start, objective=attack.loss, steps=attack.steps
        )

    random, correct = np.random.default_rng(0), np.zeros(2)
    for images, labels in torch_batches(split, batch_size):
        right = still_right(theirs, images, labels)
        images, labels = images[right], labels[right]
        noise = torch.from_numpy(random.uniform(-1, 1, images.shape).astype(np.float32))
        start = images + attack.eps * noise / noise.abs().amax(dim=(1, 2, 3), keepdim=True)
        x, start = (tensor.permute(0, 2, 3, 1).numpy() for tensor in (images, start.clamp(0, 1)))
        adversarial = ascend(x, labels.numpy(), start)
        predictions = np.asarray(logits_fn(adversarial)).argmax(axis=1)
        with mock.patch("torch.rand", lambda _, noise=noise: (noise + 1.0) / 2.0):
            their_adversarial = attack(images, labels)
        correct[0] += np.sum(predictions == labels.numpy())
        correct[1] += int(still_right(theirs, their_adversarial, labels).sum())
    return tuple(100.0 * correct / len(split))


def torch_batches(split: Split, batch_size: int):
    """Yields images [B, C, H, W] and labels as PyTorch tensors."""
    import torch
    from counterpart import as_torch

    for start in range(0, len(split), batch_size):
        rows = slice(start, start + batch_size)
        yield as_torch(split.images[rows]), torch.from_numpy(split.labels[rows].astype(np.int64))


def still_right(model, images, labels):
    """Which images a PyTorch network classifies correctly."""
    import torch

    with torch.no_grad():
        return model(images).argmax(dim=1) == labels


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        command_line.fail(str(error))
