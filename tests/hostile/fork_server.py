"""Answers command lines with the true mains, each in a forked child.

What takes time in every child and defines no flag is imported once, here; TensorFlow is not: a
fork of its threads would not be whole, and whether a child has imported it is part of the answer.

Reads lines of JSON, {"main", "arguments", "folder"}; writes for each {"status", "stderr",
"tensorflow"}.
"""

import json
import os
import pathlib
import runpy
import signal
import sys
import tempfile
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 300  # seconds for a line


def answer(main: str, arguments: list[str], folder: str) -> dict:
    """Runs a main in a child and waits for its end."""
    with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as note:
        child = os.fork()
        if not child:
            _become(main, arguments, folder, errors, note)
        _, status = os.waitpid(child, 0)
        errors.seek(0)
        note.seek(0)
        return {
            "status": os.waitstatus_to_exitcode(status),
            "stderr": errors.read().decode(errors="replace"),
            "tensorflow": note.read() != b"no",
        }


def _become(main: str, arguments: list[str], folder: str, errors, note) -> None:
    """Runs `python -m anchor_tf.MAIN` here, up to the exit of the process."""
    signal.alarm(LIMIT)
    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    os.dup2(errors.fileno(), 2)
    sys.argv = [f"{main}.py", *arguments]
    status = 0
    try:
        runpy.run_module(f"anchor_tf.{main}", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        traceback.print_exc()
        status = 1
    if "tensorflow" not in sys.modules:
        os.write(note.fileno(), b"no")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def serve() -> None:
    """Answers until stdin ends."""
    sys.path[0] = str(ROOT)
    import anchor_tf.config
    import anchor_tf.pipelines.sources.digits
    import anchor_tf.pipelines.sources.folder
    import anchor_tf.pipelines.sources.npz
    import anchor_tf.setup.refusals
    import anchor_tf.terminal.command_line  # noqa: F401

    if "tensorflow" in sys.modules:
        sys.exit("TensorFlow is imported: a fork of it would not be whole")
    replies = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        replies.write(json.dumps(answer(**json.loads(line))) + "\n")
        replies.flush()


if __name__ == "__main__":
    serve()
