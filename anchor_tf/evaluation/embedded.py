"""The embeddings that an assessment looks at: of training, of clean and of attacked images."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from anchor_tf.evaluation import representation
from anchor_tf.evaluation.runner import Evaluation
from anchor_tf.tensorboard.projector import Shown, Side


@dataclasses.dataclass(frozen=True, eq=False)
class Embedded:
    """Embeddings of norm 1.

    Attributes:
        train: of training images, [M, F].
        train_labels: int [M].
        clean: of some of the images evaluated, [N, F].
        attacked: of the same images after the attack, [N, F].
        rows: int [N], their places among the images evaluated.
    """

    train: np.ndarray
    train_labels: np.ndarray
    clean: np.ndarray
    attacked: np.ndarray
    rows: np.ndarray

    def measures(self, evaluation: Evaluation) -> dict[str, Any]:
        """What they are worth, as the report holds it."""
        return representation.measure(
            self.train,
            self.train_labels,
            self.clean,
            self.attacked,
            evaluation.labels[self.rows],
            evaluation.clean_correct[self.rows],
        )

    def shown(
        self, chosen: np.ndarray, images: np.ndarray, evaluation: Evaluation, ids: np.ndarray
    ) -> Shown:
        """Some of them for the projector.

        Args:
            chosen: int [n], which of the N.
            images: all that were evaluated.
            evaluation: what they were embedded with.
            ids: int, of all that were evaluated in their split.
        """
        rows, attacked = self.rows[chosen], self.attacked[chosen]
        adversarial, answers = evaluation.adversarial_of(rows), evaluation.predictions[rows]
        return Shown(
            ids=ids[rows],
            labels=evaluation.labels[rows],
            clean=Side(images[rows], self.clean[chosen], evaluation.clean_predictions[rows]),
            attacked=Side(adversarial, attacked, answers),
            targets=evaluation.clean_correct[rows] & np.isfinite(attacked).all(axis=1),
        )


def embed(
    model: keras.Model | Callable,
    train: tuple[np.ndarray, np.ndarray],
    images: np.ndarray,
    evaluation: Evaluation,
    rows: np.ndarray,
    batch_size: int,
) -> Embedded | None:
    """Embeds images; None where a model does not tell how.

    Args:
        model: images -> logits, see `representation.embedder`.
        train: images and labels that nearest neighbours and a linear probe learn from.
        images: all that were evaluated, uint8 or floats in [0, 1]; [., H, W, C].
        evaluation: of the first threat, which kept the examples of these rows.
        rows: int [N], which of them to embed.
        batch_size: images in a batch.
    """
    features = representation.embedder(model, batch_size)
    if features is None:
        return None
    return Embedded(
        train=features(train[0]),
        train_labels=train[1],
        clean=features(images[rows]),
        attacked=features(evaluation.adversarial_of(rows)),
        rows=rows,
    )
