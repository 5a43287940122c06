"""Where a run computes: one device, all GPUs of a machine, or several machines."""

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from anchor_tf.devices import cluster
from anchor_tf.errors import UserError
from pipelines.build import Replicas


@dataclasses.dataclass(frozen=True)
class Place:
    """Devices and compiler of a run; neither changes what is computed beyond rounding.

    Attributes:
        strategy: where the replicas are.
        xla: whether to compile with XLA.
    """

    strategy: tf.distribute.Strategy
    xla: bool = False

    @property
    def jit_step(self) -> bool:
        """Whether the whole training step is compiled: only where no replicas must meet in it."""
        return self.xla and self.strategy.num_replicas_in_sync == 1

    @property
    def jit_parts(self) -> bool:
        """Whether parts of the training step are compiled, within a step that is not."""
        return self.xla and not self.jit_step

    @property
    def chief(self) -> bool:
        """Whether this process writes the run's files."""
        return workers(self.strategy).index == 0


def place(kind: str = "auto", virtual_devices: int | None = None, xla: str = "auto") -> Place:
    """Where the flags send a run.

    Args:
        kind: "one" device; "mirrored" over all GPUs of this machine, or over its virtual CPU
            devices; "multiworker" over the workers of TF_CONFIG or SLURM; "auto" for the last of
            these that applies.
        virtual_devices: into how many devices the CPU has been split, if it has been.
        xla: "on", "off", or "auto" for on GPUs only: on CPUs convolutions in loops become slower.

    Raises:
        UserError: no cluster is described for "multiworker", TF_CONFIG is malformed, or XLA is
            wanted where it cannot compile.
    """
    # Physical ones: listing logical devices starts TensorFlow, too early for several workers.
    gpus = tf.config.list_physical_devices("GPU")
    if kind == "auto":
        if cluster.described().size > 1:
            kind = "multiworker"
        else:
            kind = "mirrored" if max(len(gpus), virtual_devices or 1) > 1 else "one"
    strategy = tf.distribute.get_strategy()
    if kind == "multiworker":
        strategy = _multiworker()
    elif kind == "mirrored":
        devices = tf.config.list_logical_devices("CPU" if virtual_devices else "GPU")
        strategy = tf.distribute.MirroredStrategy([device.name for device in devices] or None)
    return Place(strategy, uses_xla(xla))


def uses_xla(wanted: str) -> bool:
    """Whether "on", "off" or "auto" has XLA compile here; "auto" does on GPUs.

    Raises:
        UserError: it is wanted where it cannot compile.
    """
    if wanted != "on":
        return wanted == "auto" and bool(tf.config.list_physical_devices("GPU"))
    try:
        tf.function(lambda x: x + x, autograph=False, jit_compile=True)(tf.ones([]))
    except (tf.errors.OpError, NotImplementedError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--xla=on: this TensorFlow cannot compile here ({reason})") from error
    return True


def replicas(strategy: tf.distribute.Strategy) -> Replicas:
    """The strategy's replicas, as the input pipeline counts them."""
    total = strategy.num_replicas_in_sync
    if not _multiple_workers(strategy):
        return Replicas(total, 0, total)
    here = len(strategy.extended.worker_devices)
    return Replicas(total, cluster.described().index * here, here)


def spread(function: Callable, place: Place) -> Callable:
    """Compiles a function of a batch so that each replica of this process computes its share.

    Args:
        function: of tensors that are divided along their first axis, and of scalars and None,
            which all replicas get; to one tensor with that axis. It must not need what other
            replicas have.
        place: devices and compiler.

    Returns:
        A function of the same arguments, whose batch must be divisible by the replicas here; its
        results are in the order of the batch.
    """
    here = replicas(place.strategy).here
    if here == 1:
        return tf.function(function, autograph=False, jit_compile=place.xla)

    def mine(arguments):
        place_here = tf.distribute.get_replica_context().replica_id_in_sync_group % here
        parts = tf.nest.map_structure(lambda tensor: _part(tensor, place_here, here), arguments)
        if not place.xla:
            return function(*parts)
        return tf.function(function, autograph=False, jit_compile=True)(*parts)

    @tf.function(autograph=False)
    def everywhere(*arguments):
        results = place.strategy.run(mine, args=(arguments,))
        parts = place.strategy.experimental_local_results(results)
        return tf.concat(parts, axis=0)

    return everywhere


def workers(strategy: tf.distribute.Strategy) -> cluster.Cluster:
    """The processes that share the strategy's work; a cluster of size 1 for one alone."""
    if _multiple_workers(strategy):
        return cluster.described()
    return cluster.Cluster((), 1, 0)


def barrier(strategy: tf.distribute.Strategy) -> None:
    """Waits until all workers are here."""
    if _multiple_workers(strategy):
        strategy.reduce("SUM", strategy.run(lambda: tf.ones([])), axis=None)


def any_worker(strategy: tf.distribute.Strategy, wishes: Sequence[bool]) -> list[bool]:
    """For each wish, whether any worker has it; all workers call this at the same step."""
    if not _multiple_workers(strategy):
        return list(wishes)
    mine = tf.constant(wishes, tf.float32)
    total = strategy.reduce("SUM", strategy.run(lambda: mine), axis=None)
    return [bool(count > 0) for count in total.numpy()]


def _part(tensor, place_here, here: int):
    if not tf.is_tensor(tensor) or not tensor.shape.rank:
        return tensor
    return tf.reshape(tensor, [here, -1, *tensor.shape[1:]])[place_here]


def _multiple_workers(strategy: tf.distribute.Strategy) -> bool:
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def _multiworker() -> tf.distribute.Strategy:
    """The workers together; ends the process if they do not come."""
    described = cluster.taking_part("multiworker")
    resolver = None
    if not described.workers:
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver()
    try:
        with cluster.patience(described):
            strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
            barrier(strategy)
    except tf.errors.OpError as error:
        address = described.workers[described.index] if described.workers else "this worker"
        reason = error.message.splitlines()[0]
        raise UserError(
            f"the workers cannot come together ({reason}): is {address} free?"
        ) from error
    return strategy
