"""Keeps the weights of the epoch that withstands the most on the validation split."""

import keras

from anchor_tf.checkpoints.best_weights import BestWeights


class BestCheckpoint(keras.callbacks.Callback):
    """Saves what would be evaluated whenever its PGD accuracy on the validation split is the best.

    Of equals the first is kept.

    Args:
        weights: where; a continued run goes on from the best that is there.
    """

    def __init__(self, weights: BestWeights):
        super().__init__()
        self.weights = weights
        self._best = weights.robust

    def on_epoch_end(self, epoch, logs=None):
        robust = logs.get("validation_robust", -1.0)
        if robust > self._best:
            self._best = robust
            self.weights.save(self.model.evaluated_weights, epoch + 1, robust)
