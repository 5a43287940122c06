"""Two worker processes on loopback, and the mistakes that keep workers apart."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from anchor_tf.devices import cluster, distribution
from anchor_tf.errors import UserError
from tests.devices.replica_steps import STEPS
from tests.devices.rounding import rounding

pytestmark = [pytest.mark.numeric, pytest.mark.slow]

ROOT = pathlib.Path(__file__).parent.parent.parent


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def step_of_slurm(index):
    """Two tasks of a job step on this machine, as srun describes them."""
    step = {"NUM_TASKS": 2, "NODELIST": "localhost", "TASKS_PER_NODE": 2}
    step = {f"SLURM_STEP_{name}": str(value) for name, value in step.items()}
    return {**os.environ, "TF_CONFIG": "", "SLURM_PROCID": str(index), **step}


def environment(workers, index):
    task = {"type": "worker", "index": index}
    return {**os.environ, "TF_CONFIG": json.dumps({"cluster": {"worker": workers}, "task": task})}


def start(arguments, environment=None):
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_workers_equal_one_device(tmp_path):
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    case = json.dumps({"given": {"method": "anchor", "attack": "injected"}})
    command = ["-m", "tests.devices.replica_steps"]
    folders = [tmp_path / name for name in ("first", "second", "alone")]
    for folder in folders:
        folder.mkdir()
    runs = [
        start([*command, folders[place], 2, case], environment(workers, place))
        for place in range(2)
    ]
    runs.append(start([*command, folders[2], 1, case]))
    for run in runs:
        output, _ = run.communicate(timeout=300)
        assert run.returncode == 0, output[-2000:]
    first, second, alone = (dict(np.load(folder / "given.npz")) for folder in folders)
    for worker in (first, second):
        for name in alone:
            if name != "gradient_norm":  # several workers do without
                atol = rounding(STEPS, alone[name])
                np.testing.assert_allclose(worker[name], alone[name], rtol=0, atol=atol)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "malformed"),
        ("[]", "malformed"),
        ('{"cluster": {}, "task": {"type": "worker", "index": 0}}', "'worker' is missing"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "not one of"),
        ('{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}', "host:port"),
    ],
)
def test_a_malformed_tf_config_is_refused(text, message, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match=message):
        cluster.described()


def test_places_in_the_cluster(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setenv("SLURM_NTASKS", "4")  # of a batch script: no step, no other tasks
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS", raising=False)
    assert cluster.described() == cluster.Cluster((), 1, 0)
    with pytest.raises(UserError, match="multiworker needs TF_CONFIG or SLURM"):
        cluster.taking_part("multiworker")
    config = {"cluster": {"chief": ["a:1"], "worker": ["b:2", "c:3"]}}
    monkeypatch.setenv("TF_CONFIG", json.dumps({**config, "task": {"type": "worker", "index": 1}}))
    assert cluster.described() == cluster.Cluster(("a:1", "b:2", "c:3"), 3, 2)
    assert cluster.taking_part("auto") == cluster.taking_part("multiworker") == cluster.described()
    for alone in ("one", "mirrored"):
        assert cluster.taking_part(alone) == cluster.Cluster((), 1, 0)


def test_tasks_of_slurm(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert cluster.described() == cluster.Cluster((), 4, 3)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2(x2)")
    with pytest.raises(UserError, match=r"SLURM_STEP_NUM_TASKS=2\(x2\)"):
        cluster.described()


def test_the_addresses_of_a_step_of_slurm(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "")
    step = {"NUM_TASKS": "3", "NODELIST": "gpu[07-08]", "TASKS_PER_NODE": "2,1"}
    for name, value in step.items():
        monkeypatch.setenv(f"SLURM_STEP_{name}", value)
    monkeypatch.setenv("SLURM_PROCID", "2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    distribution.describe_slurm()
    addresses = ("gpu07:8888", "gpu07:8889", "gpu08:8888")
    assert cluster.described() == cluster.Cluster(addresses, 3, 2)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5"  # a task's GPUs are SLURM's to give
    monkeypatch.setenv("TF_CONFIG", "")
    monkeypatch.delenv("SLURM_STEP_NODELIST")
    with pytest.raises(UserError, match=r"describe this job step \(SLURM_STEP_NODELIST not found"):
        distribution.describe_slurm()


def test_a_worker_that_never_comes_is_named_after_a_while():
    here, absent = free_ports(2)
    code = f"""
import socket, time
from anchor_tf.devices.cluster import Cluster, patience
server = socket.create_server(("127.0.0.1", {here}))
with patience(Cluster(("127.0.0.1:{here}", "127.0.0.1:{absent}"), 2, 0), seconds=0.2):
    time.sleep(60)
"""
    run = start(["-c", code])
    output, _ = run.communicate(timeout=50)
    assert run.returncode == 2
    assert f"not reachable: 127.0.0.1:{absent}." in output
    assert len(output.strip().splitlines()) == 1


def test_patience_ends_with_what_it_waited_for():
    code = """
import time
from anchor_tf.devices.cluster import Cluster, patience
with patience(Cluster((), 2, 0), seconds=0.2):
    pass
time.sleep(0.5)
"""
    run = start(["-c", code])
    output, _ = run.communicate(timeout=50)
    assert (run.returncode, output) == (0, "")
