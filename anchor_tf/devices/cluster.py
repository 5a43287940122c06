"""The machines that train together, as TF_CONFIG or SLURM describe them; no TensorFlow here."""

import contextlib
import dataclasses
import json
import os
import socket
import sys
import threading

from anchor_tf.errors import UserError

PATIENCE = 300.0  # seconds to wait for workers that do not come
USER_MISTAKE = 2


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers, and which of them this process is.

    Attributes:
        workers: host:port of each, the chief first; empty under SLURM until TensorFlow is asked.
        size: how many there are; 1 where nothing is described.
        index: this one's place.
    """

    workers: tuple[str, ...]
    size: int
    index: int


def described() -> Cluster:
    """The cluster of the environment.

    Raises:
        UserError: TF_CONFIG is no JSON, names no workers, or this task is not one of them; or
            SLURM's numbers are none.
    """
    text = os.environ.get("TF_CONFIG")
    if not text:
        return _of_slurm()
    try:
        content = json.loads(text)
        chiefs, workers = content["cluster"].get("chief", []), content["cluster"]["worker"]
        kind, index = content["task"]["type"], int(content["task"]["index"])
        together = tuple(str(address) for address in (*chiefs, *workers))
        place = index if kind == "chief" else len(chiefs) + index
        if kind not in ("chief", "worker") or not 0 <= place < len(together):
            raise ValueError(f"task {kind} {index} is not one of the {len(together)} workers")
        if not all(address.rpartition(":")[2].isdecimal() for address in together):
            raise ValueError("a worker is not of the form host:port")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise UserError(
            f"TF_CONFIG is malformed ({reason}): it should be like "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
        ) from error
    return Cluster(together, len(together), place)


def taking_part(strategy: str) -> Cluster:
    """The cluster that a run of this --strategy works in: of one, where it does not use others.

    Raises:
        UserError: see `described`; or the strategy asks for workers that nothing describes.
    """
    cluster = described() if strategy in ("auto", "multiworker") else Cluster((), 1, 0)
    if strategy == "multiworker" and cluster.size == 1:
        raise UserError(
            "--strategy=multiworker needs TF_CONFIG or SLURM to say who the workers are"
        )
    return cluster


def _of_slurm() -> Cluster:
    """The tasks of a job step; a batch script around it counts as one alone."""
    size, index = (os.environ.get(name) for name in ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"))
    try:
        return Cluster((), int(size), int(index or 0)) if size else Cluster((), 1, 0)
    except ValueError as error:
        raise UserError(
            f"SLURM_STEP_NUM_TASKS={size} and SLURM_PROCID={index} should be whole numbers: unset "
            "the first to train without other tasks"
        ) from error


@contextlib.contextmanager
def patience(cluster: Cluster, seconds: float = PATIENCE):
    """Ends the process with a clear line if what it does inside takes too long.

    TensorFlow waits without end for a worker that never comes, in a call that nothing interrupts.

    Args:
        cluster: whose workers are waited for.
        seconds: how long.
    """

    def give_up():
        absent = [address for address in cluster.workers if not _reachable(address)]
        named = ", ".join(absent) if absent else "no one in particular"
        print(
            f"error: the {cluster.size} workers have not come together in {seconds:.0f} s; not "
            f"reachable: {named}. Start all of them, with the same TF_CONFIG cluster",
            file=sys.stderr,
            flush=True,
        )
        os._exit(USER_MISTAKE)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _reachable(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1.0):
            return True
    except OSError:
        return False
