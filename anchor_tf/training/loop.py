"""The loop over training steps, the same on one device, on several, and on several machines."""

from collections.abc import Callable, Iterator, Sequence

import keras
import tensorflow as tf

from anchor_tf.devices import distribution
from anchor_tf.methods.base import Method
from anchor_tf.pipelines.build import Replicas


class TrainingLoop:
    """Takes a compiled method through its steps, one graph call each.

    Keras' `fit` does the same on one device and under MirroredStrategy, but not on several
    machines, and it gives no hold on single steps.

    Args:
        method: compiled; built in the strategy's scope.
        strategy: where the replicas are.
        jit_compile: whether to compile the whole step with XLA; for a single replica.

    Attributes:
        step: takes one training step on an element of `elements`.
    """

    def __init__(self, method: Method, strategy: tf.distribute.Strategy, jit_compile: bool = False):
        self.method, self.strategy = method, strategy

        # AutoGraph stays off, as in Keras: the step is written with TensorFlow's control flow.
        @tf.function(autograph=False, jit_compile=jit_compile, reduce_retracing=True)
        def step(batch):
            strategy.run(method.train_step, args=(batch,))

        self.step = step

    def run(
        self,
        batches: Callable[[Replicas], tf.data.Dataset],
        steps: int,
        epochs: int,
        callbacks: Sequence[keras.callbacks.Callback],
        first_step: int = 0,
        closed_epochs: int = 0,
    ) -> None:
        """Trains.

        Args:
            batches: gives this process's elements, one a replica and step, for its replicas, from
                the first step on.
            steps: steps an epoch.
            epochs: epochs in all.
            callbacks: called as Keras calls them, in this order; batch ends come without logs.
            first_step: steps that are done. Within an epoch the method's metrics hold their part.
            closed_epochs: epochs whose end the callbacks have seen.
        """
        elements = self.elements(batches)
        for callback in callbacks:
            callback.set_model(self.method)
            callback.on_train_begin()
        for epoch in range(closed_epochs, epochs):
            done = max(first_step - epoch * steps, 0)
            if not done:
                self.method.reset_metrics()
            for callback in callbacks:
                callback.on_epoch_begin(epoch)
            for step in range(done, steps):
                self.step(next(elements))
                for callback in callbacks:
                    callback.on_train_batch_end(step)
            logs = self.method.tracked()
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs)
        for callback in callbacks:
            callback.on_train_end()

    def elements(self, batches: Callable[[Replicas], tf.data.Dataset]) -> Iterator:
        """What `step` takes, one global batch after another.

        Args:
            batches: see `run`.
        """
        mine = distribution.replicas(self.strategy)
        if self.strategy.num_replicas_in_sync == 1:
            return iter(batches(mine))
        return iter(self.strategy.distribute_datasets_from_function(lambda _: batches(mine)))
