"""Runs a study's trainings one after the other, each in a process of its own."""

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

from anchor_tf.studies.plan import Run
from anchor_tf.studies.record import Record

GRACE = 20.0  # seconds that a stopped run has to end


def run_all(runs: Sequence[Run], record: Record, after: Callable[[], None]) -> None:
    """Runs what is not finished; a run that fails is recorded, and the rest goes on.

    Args:
        runs: in this order.
        record: where failures are noted.
        after: called after each run.

    Raises:
        UserError: the folder of a run holds another run, or another study is at work here.
        KeyboardInterrupt: the study is stopped, and the run with it.
    """
    # Before the first run: hours may pass before the last.
    finished = [run.finished for run in runs]
    if any(finished):
        print(f"resumed: phase=study step={sum(finished)}", flush=True)
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell may have left SIGINT ignored
        signal.signal(number, _stop)
    with record.begun() as lock:
        for place, (run, done) in enumerate(zip(runs, finished, strict=True), start=1):
            heading = f"study {place}/{len(runs)}  {run.name}"
            if done:
                print(f"{heading}  finished before", flush=True)
                record.succeeded(run.name)
                continue
            print(heading, flush=True)
            status, message = _train(run, lock)
            if status:
                record.failed(run.name, status, message)
                print(f"{heading}  failed, status {status}", flush=True)
            else:
                record.succeeded(run.name)
            after()


def _train(run: Run, lock: int) -> tuple[int, str]:
    """Exit status of a run, and the last line that it wrote to stderr."""
    # A group of its own: Ctrl-C then reaches the study alone, which stops the run without the
    # traceback that the run would print.
    process = subprocess.Popen(
        [sys.executable, "-m", "anchor_tf.train", *run.arguments],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        process_group=0,
        pass_fds=[lock],
    )
    last = ""
    try:
        for line in process.stderr:
            sys.stderr.write(line)
            sys.stderr.flush()
            last = line.strip() or last
        status = process.wait()
    except BaseException:
        _end(process)
        raise
    if status < 0:
        return status, f"killed by {signal.Signals(-status).name}"
    return status, last


def _end(process: subprocess.Popen) -> None:
    """Ends a run, which its next start continues from its last checkpoint."""
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _stop(number, frame):
    raise KeyboardInterrupt
