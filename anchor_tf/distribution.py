"""Where a run computes: one device, all GPUs of a machine, or several machines."""

import dataclasses
import json
import os

import tensorflow as tf

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
    def jit_attack(self) -> bool:
        """Whether the attack is compiled on its own, within a step that is not."""
        return self.xla and not self.jit_step

    @property
    def chief(self) -> bool:
        """Whether this process writes the run's files."""
        if not isinstance(self.strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return True
        return self.strategy.cluster_resolver.task_id == 0


def place(kind: str = "auto", virtual_devices: int | None = None, xla: str = "auto") -> Place:
    """Where the flags send a run.

    Args:
        kind: "one" device; "mirrored" over all GPUs of this machine, or over its virtual CPU
            devices; "multiworker" over the workers of TF_CONFIG or SLURM; "auto" for the last of
            these that applies.
        virtual_devices: into how many devices the CPU has been split, if it has been.
        xla: "on", "off", or "auto" for on GPUs only: on CPUs convolutions in loops become slower.

    Raises:
        UserError: no cluster is described for "multiworker", or TF_CONFIG is malformed.
    """
    gpus = tf.config.list_logical_devices("GPU")
    if kind == "auto":
        if cluster_size() > 1:
            kind = "multiworker"
        else:
            kind = "mirrored" if max(len(gpus), virtual_devices or 1) > 1 else "one"
    strategy = tf.distribute.get_strategy()
    if kind == "multiworker":
        strategy = _multiworker()
    elif kind == "mirrored":
        devices = tf.config.list_logical_devices("CPU") if virtual_devices else gpus
        strategy = tf.distribute.MirroredStrategy([device.name for device in devices] or None)
    return Place(strategy, xla == "on" or (xla == "auto" and bool(gpus)))


def replicas(strategy: tf.distribute.Strategy) -> Replicas:
    """The strategy's replicas, as the input pipeline counts them."""
    total = strategy.num_replicas_in_sync
    resolver = strategy.cluster_resolver
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return Replicas(total, 0, total)
    here = len(strategy.extended.worker_devices)
    return Replicas(total, resolver.task_id * here, here)


def cluster_size() -> int:
    """Workers that the environment describes; 1 where it describes none.

    Raises:
        UserError: TF_CONFIG is no JSON, names no workers, or this task is not one of them.
    """
    text = os.environ.get("TF_CONFIG")
    if not text:
        return int(os.environ.get("SLURM_NTASKS", "1") or 1)
    try:
        content = json.loads(text)
        workers = [*content["cluster"].get("chief", []), *content["cluster"]["worker"]]
        index, kind = int(content["task"]["index"]), content["task"]["type"]
        if kind not in ("chief", "worker") or not 0 <= index < len(workers):
            raise ValueError(f"task {kind} {index} is not one of {len(workers)} workers")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__} {error}" if isinstance(error, KeyError) else error
        raise UserError(
            f"TF_CONFIG is malformed ({reason}): it should be like "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
        ) from error
    return len(workers)


def _multiworker() -> tf.distribute.Strategy:
    if os.environ.get("TF_CONFIG"):
        return tf.distribute.MultiWorkerMirroredStrategy()
    if "SLURM_NTASKS" in os.environ:
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver()
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    raise UserError("--strategy=multiworker needs TF_CONFIG or SLURM to say who the workers are")
