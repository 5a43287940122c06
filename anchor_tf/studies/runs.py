"""Runs what a study consists of, one or several at a time, each in a process of its own."""

import concurrent.futures
import contextlib
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

from anchor_tf.studies import slots
from anchor_tf.studies.plan import Run
from anchor_tf.studies.record import Record

GRACE = 20.0  # seconds that a stopped run has to end


def run_all(runs: Sequence[Run], record: Record, after: Callable[[], None], jobs: int = 1) -> None:
    """Runs what is not finished; a run that fails is recorded, and the rest goes on.

    Args:
        runs: started in this order.
        record: where failures are noted.
        after: called after each run.
        jobs: how many are at work at the same time.

    Raises:
        UserError: the folder of a run holds another run, or another study is at work here.
        KeyboardInterrupt: the study is stopped, and its runs with it.
    """
    # Before the first run: hours may pass before the last.
    finished = [run.finished for run in runs]
    if any(finished):
        print(f"resumed: phase=study step={sum(finished)}", flush=True)
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell may have left SIGINT ignored
        signal.signal(number, _stop)
    with record.begun() as lock:
        left = []
        for place, (run, done) in enumerate(zip(runs, finished, strict=True), start=1):
            heading = f"study {place}/{len(runs)}  {run.name}"
            if done:
                print(f"{heading}  finished before", flush=True)
                record.succeeded(run.name)
            else:
                left.append((heading, run))
        _Workers(lock, jobs).run(left, record, after)


class _Workers:
    """So many threads, each with one process at a time in its share of the machine."""

    def __init__(self, lock: int, jobs: int):
        self.lock, self.jobs = lock, jobs
        self.slots: queue.SimpleQueue = queue.SimpleQueue()
        for environment in slots.environments(jobs):
            self.slots.put(environment)
        self.processes: set[subprocess.Popen] = set()
        self.guard = threading.Lock()
        self.stopped = False

    def run(self, left: Sequence[tuple[str, Run]], record: Record, after: Callable) -> None:
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            try:
                waiting = {pool.submit(self._one, *item): item for item in left}
                for done in concurrent.futures.as_completed(waiting):
                    heading, run = waiting[done]
                    status, message = done.result()
                    if status:
                        record.failed(run.name, status, message)
                        print(f"{heading}  failed, status {status}", flush=True)
                    else:
                        record.succeeded(run.name)
                    after()
            except BaseException:
                self._stop()
                raise

    def _one(self, heading: str, run: Run) -> tuple[int, str]:
        """Exit status of a run, and the last line that it wrote to stderr."""
        environment = self.slots.get()
        try:
            process = self._begin(heading, run, environment)
            if process is None:
                return 0, ""
            last = self._follow(process, run.name)
            status = process.wait()
            with self.guard:
                self.processes.discard(process)
        finally:
            self.slots.put(environment)
        if status < 0:
            return status, f"killed by {signal.Signals(-status).name}"
        return status, last

    def _begin(self, heading: str, run: Run, environment) -> subprocess.Popen | None:
        """Starts a run, unless the study has been stopped."""
        with self.guard:
            if self.stopped:
                return None
            print(heading, flush=True)
            with self._output(run) as output:
                process = self._process(run, environment, output)
            self.processes.add(process)
            return process

    def _process(self, run: Run, environment, output) -> subprocess.Popen:
        # A group of its own: Ctrl-C then reaches the study alone, which stops the run without the
        # traceback that the run would print.
        return subprocess.Popen(
            [sys.executable, "-m", run.main, *run.arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            process_group=0,
            pass_fds=[self.lock],
            env=environment,
        )

    @contextlib.contextmanager
    def _output(self, run: Run):
        """Where a run's epochs and table go: beside its folder, where several would mix."""
        if self.jobs == 1:
            yield None
            return
        run.folder.parent.mkdir(parents=True, exist_ok=True)
        with open(run.folder.with_suffix(".txt"), "a", encoding="utf-8") as file:
            yield file

    def _follow(self, process: subprocess.Popen, name: str) -> str:
        """Passes on what a run says, by name where several speak; returns its last line."""
        last = ""
        for line in process.stderr:
            sys.stderr.write(line if self.jobs == 1 else f"{name}: {line}")
            sys.stderr.flush()
            last = line.strip() or last
        return last

    def _stop(self) -> None:
        """Ends all runs, which their next start continues from their last checkpoint."""
        with self.guard:
            self.stopped = True
            running = list(self.processes)
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _stop(number, frame):
    raise KeyboardInterrupt
