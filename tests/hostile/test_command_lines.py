"""Generated command lines against the true mains: every wrong one is told in one line.

The short version runs wrong lines alone; `HOSTILE=full` runs 1,000, a tenth of them right.
"""

import concurrent.futures
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import pytest

from tests.hostile import command_lines

ROOT = pathlib.Path(__file__).resolve().parents[2]
FULL = os.environ.get("HOSTILE") == "full"
LINES, RIGHT = (1000, 100) if FULL else (40, 0)
SEED = 1
# Right lines of these mains take tens of seconds: a share of them will do.
RIGHT_MAINS = ("train", "train", "train", "evaluate", "evaluate", "evaluate", "export", "benchmark")


def lines() -> list[command_lines.Line]:
    random_ = random.Random(SEED)
    found = [
        command_lines.wrong(random_, random_.choice(command_lines.MAINS))
        for _ in range(LINES - RIGHT)
    ]
    found += [command_lines.right(random_, random_.choice(RIGHT_MAINS)) for _ in range(RIGHT)]
    if FULL:
        found[-4:] = [command_lines.right(random_, "study") for _ in range(4)]
    random_.shuffle(found)
    return found


def ask_all(found, shared) -> list[tuple[list[str], dict]]:
    """What two fork servers answer, in the order of the lines."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        parts = pool.map(lambda part: ask(part, shared), (found[::2], found[1::2]))
    even, odd = map(iter, parts)
    return [next(odd if place % 2 else even) for place in range(len(found))]


def ask(found, shared) -> list[tuple[list[str], dict]]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TFDS_DATA_DIR": "/nowhere"}
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "tests/hostile/fork_server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    answers = []
    with server:
        for line in found:
            with tempfile.TemporaryDirectory() as folder:
                files = dict(shared)
                if not line.named:  # a main at work keeps others out of a run
                    files["run"] = shutil.copytree(shared["run"], f"{folder}/copy_of_run")
                arguments = command_lines.placed(line, pathlib.Path(folder), **files)
                request = {"main": line.main, "arguments": arguments, "folder": folder}
                server.stdin.write(json.dumps(request) + "\n")
                server.stdin.flush()
                answers.append((arguments, json.loads(server.stdout.readline())))
        server.stdin.close()
    return answers


def complaint(line, answer) -> str | None:
    """What is wrong with an answer."""
    errors, status = answer["stderr"], answer["status"]
    if "Traceback" in errors:
        return "a traceback"
    if not line.named:
        return None if status == 0 else "a right line was refused"
    if status != 2:
        return "the status is not 2"
    if len(errors.splitlines()) != 1 or not errors.startswith("error: "):
        return "not one line"
    if not any(name in errors for name in line.named):
        return f"{line.named} not named"
    if line.early and answer["tensorflow"]:
        return "TensorFlow was imported first"
    return None


@pytest.fixture(scope="module")
def answers(hostile_files):
    found = lines()
    return list(zip(found, ask_all(found, hostile_files), strict=True))


def test_every_line_is_answered_as_it_should_be(answers):
    complaints = [
        f"{text}: {line.main} {' '.join(arguments)}\n    {answer['stderr'][-300:]}"
        for line, (arguments, answer) in answers
        if (text := complaint(line, answer))
    ]
    assert not complaints, "\n".join([f"{len(complaints)} of {len(answers)}", *complaints])


def test_early_mistakes_are_answered_without_tensorflow(answers):
    early = [answer for line, (_, answer) in answers if line.named and line.early]
    assert early
    assert not any(answer["tensorflow"] for answer in early)


def test_a_wrong_answer_would_be_seen():
    line = command_lines.Line("train", (), ("epochs",))
    good = {"status": 2, "stderr": "error: --epochs is odd\n", "tensorflow": False}
    assert complaint(line, good) is None
    for change in (
        {"status": 1},
        {"stderr": "error: odd\n"},
        {"stderr": "warning\nerror: --epochs\n"},
        {"stderr": "Traceback ...\nerror: --epochs\n"},
        {"tensorflow": True},
    ):
        assert complaint(line, good | change) is not None
