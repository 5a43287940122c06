"""Runs what a study consists of, one or several at a time, each in a process of its own."""

import concurrent.futures
import contextlib
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

from anchor_tf.errors import UserError
from anchor_tf.studies import slots
from anchor_tf.studies.plan import Run
from anchor_tf.studies.record import Record
from anchor_tf.terminal.interruption import wanted_signals

GRACE = 20.0  # seconds that the runs of a stopped study have to end


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
    for number in wanted_signals():
        signal.signal(number, _interrupt)
    with record.begun() as lock:
        left = []
        for place, (run, done) in enumerate(zip(runs, finished, strict=True), start=1):
            heading = f"study {place}/{len(runs)}  {run.name}"
            if done:
                print(f"{heading}  finished before", flush=True)
                record.succeeded(run.name)
            else:
                left.append((heading, run))
        if left:
            _Workers(lock, jobs, record, after).run(left)


class _Workers:
    """So many threads, each with one process at a time in its share of the machine."""

    def __init__(self, lock: int, jobs: int, record: Record, after: Callable[[], None]):
        self.lock, self.jobs, self.record, self.after = lock, jobs, record, after
        self.slots: queue.SimpleQueue = queue.SimpleQueue()
        for environment in slots.environments(jobs):
            self.slots.put(environment)
        self.processes: set[subprocess.Popen] = set()
        self.guard, self.summing_up = threading.Lock(), threading.Lock()
        self.stopped = False

    def run(self, left: Sequence[tuple[str, Run]]) -> None:
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            try:
                started = [pool.submit(self._one, *item) for item in left]
                for done in concurrent.futures.as_completed(started):
                    done.result()
            except BaseException:
                self._stop()
                raise

    def _one(self, heading: str, run: Run) -> None:
        """Takes a run from its start to its place in the table."""
        environment = self.slots.get()
        try:
            process = self._begin(heading, run, environment)
            if process is None:
                return
            last = self._follow(process, run.name)
            status = process.wait()
            with self.guard:
                self.processes.discard(process)
            with self.summing_up:
                if not self.stopped:
                    self._note(heading, run, status, last)
        finally:
            self.slots.put(environment)

    def _note(self, heading: str, run: Run, status: int, last: str) -> None:
        """Records how a run ended, and brings the table up to date."""
        if status:
            message = f"killed by {signal.Signals(-status).name}" if status < 0 else last
            self.record.failed(run.name, status, message)
            print(f"{heading}  failed, status {status}", flush=True)
        else:
            self.record.succeeded(run.name)
        try:
            self.after()
        except UserError as error:  # the other runs may still end well
            print(f"warning: {error}", file=sys.stderr, flush=True)

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
        self.stopped = True
        with self.guard:
            running = list(self.processes)
        for process in running:
            process.terminate()
        end = time.monotonic() + GRACE
        for process in running:
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _interrupt(number, frame):
    """The first signal stops the study; further ones would only keep it from doing so."""
    for each in wanted_signals():
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt
