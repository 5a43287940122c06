"""A run of test_runs.py: waits, then ends with a status; a stubborn one ignores SIGTERM."""

import os
import pathlib
import signal
import sys
import time

folder, seconds, status, *stubborn = sys.argv[1:]
if stubborn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
folder = pathlib.Path(folder)
folder.mkdir(parents=True, exist_ok=True)
(folder / "pid.partial").write_text(str(os.getpid()))
(folder / "pid.partial").replace(folder / "pid")
time.sleep(float(seconds))
if int(status):
    sys.exit(print(f"error: {folder.parent.name}", file=sys.stderr) or int(status))
(folder / "done").touch()
