"""Where a run computes: one device, all GPUs of a machine, or several machines."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Sequence

import tensorflow as tf

from anchor_tf import choices
from anchor_tf.devices import cluster
from anchor_tf.errors import UserError
from anchor_tf.pipelines.build import Replicas

_DRIVER = pathlib.Path("/proc/driver/nvidia/version")


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
    choices.check("kind", kind, ("auto", "one", "mirrored", "multiworker"), "place")
    # Physical ones: listing logical devices starts TensorFlow, too early for several workers.
    gpus = [] if virtual_devices else tf.config.list_physical_devices("GPU")
    if not gpus:
        _warn_of_idle_gpus()
    if kind == "auto":
        if cluster.described().size > 1:
            kind = "multiworker"
        else:
            kind = "mirrored" if max(len(gpus), virtual_devices or 1) > 1 else "one"
    strategy = tf.distribute.get_strategy()
    if kind == "multiworker":
        strategy = _multiworker(bool(gpus))
    elif kind == "mirrored":
        devices = tf.config.list_logical_devices("CPU" if virtual_devices else "GPU")
        if len(devices) > 1:
            strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
    return Place(strategy, uses_xla(xla, bool(gpus)))


def uses_xla(wanted: str, on_gpus: bool) -> bool:
    """Whether "on", "off" or "auto" has XLA compile; "auto" does on GPUs, where it can.

    Raises:
        UserError: another word, or it is wanted where it cannot compile.
    """
    choices.check("xla", wanted, ("auto", "on", "off"))
    if wanted == "off" or (wanted == "auto" and not on_gpus):
        return False
    try:
        # The exponential needs CUDA's library of functions, which an installation may lack.
        tf.function(tf.exp, autograph=False, jit_compile=True)(tf.ones([8]))
    except (tf.errors.OpError, NotImplementedError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        if wanted == "on":
            raise UserError(f"--xla=on: this TensorFlow cannot compile here ({reason})") from error
        print(f"warning: XLA cannot compile here, so nothing is compiled ({reason})", flush=True)
        return False
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


def describe_slurm() -> None:
    """Sets TF_CONFIG to what SLURM says of this job step; a task takes the GPUs that it sees.

    TensorFlow's own resolver is asked for the addresses alone: without its arguments it counts GPUs
    by nvidia-smi, fails where there are none, and shares them out too late.

    Raises:
        UserError: SLURM's variables do not describe the step.
    """
    own = cluster.described()
    try:
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            gpus_per_node=own.size, gpus_per_task=1, auto_set_gpu=False
        )
        addresses = resolver.cluster_spec().job_tasks("worker")
    except (RuntimeError, ValueError, KeyError) as error:
        raise UserError(
            f"SLURM does not describe this job step ({error}): start it by srun"
        ) from error
    task = {"type": "worker", "index": own.index}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})


def _part(tensor, place_here, here: int):
    if not tf.is_tensor(tensor) or not tensor.shape.rank:
        return tensor
    return tf.reshape(tensor, [here, -1, *tensor.shape[1:]])[place_here]


def _multiple_workers(strategy: tf.distribute.Strategy) -> bool:
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def _warn_of_idle_gpus() -> None:
    """TensorFlow says nothing of a GPU that it cannot use, and computes on the CPU."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if _DRIVER.exists() and not hidden and not tf.config.list_physical_devices("GPU"):
        print(
            "warning: there is an NVIDIA driver, but TensorFlow finds no GPU and the CPU computes: "
            "install tensorflow[and-cuda] in requirements.txt's version (TF_CPP_MIN_LOG_LEVEL=0 "
            "tells what is missing), or set CUDA_VISIBLE_DEVICES=-1",
            flush=True,
        )


def _multiworker(on_gpus: bool) -> tf.distribute.Strategy:
    """The workers together; ends the process if they do not come."""
    described = cluster.taking_part("multiworker")
    if not described.workers:
        describe_slurm()
        described = cluster.described()
    implementations = tf.distribute.experimental.CommunicationImplementation
    # Left to itself TensorFlow sends GPUs' gradients over the network's ring.
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=implementations.NCCL if on_gpus else implementations.AUTO
    )
    try:
        with cluster.patience(described):
            strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
            barrier(strategy)
    except tf.errors.OpError as error:
        address = described.workers[described.index]
        reason = error.message.splitlines()[0]
        raise UserError(
            f"the workers cannot come together ({reason}): is {address} free?"
        ) from error
    return strategy
