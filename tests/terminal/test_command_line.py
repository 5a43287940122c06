"""How the mains end: each kind of error in one line and with its own status."""

import pathlib
import subprocess
import sys
import types

import pytest

from anchor_tf.terminal import command_line

ROOT = pathlib.Path(__file__).parents[2]
BATCHES = "from absl import flags; flags.DEFINE_integer('batch_size', 1, '')"
FULL = "OSError(28, 'No space left on device', '/runs/one')"
NESTED = f"error = UserError('x'); error.__cause__ = {FULL}"


def ended(statement: str) -> subprocess.CompletedProcess:
    """A main that does nothing but this statement."""
    code = (
        "import errno\n"
        "from anchor_tf.errors import DivergedError, StoppedError, UserError\n"
        "from anchor_tf.terminal import command_line\n"
        f"def main():\n    {statement}\n"
        "command_line.run(main)"
    )
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("statement", "status", "line"),
    [
        ("raise UserError('--seed: no\\nnumber')", 2, "error: --seed: no number"),
        ("raise DivergedError('step 3')", 3, "error: step 3"),
        ("raise StoppedError('saved', 15)", 143, "saved"),
        ("raise KeyboardInterrupt", 130, "stopped: the same command goes on from what is saved"),
        ("open('/no/such/file')", 2, "error: /no/such/file: No such file or directory"),
        ("raise MemoryError", 2, "error: the memory is full: take a smaller network or smaller"),
        (
            f"{BATCHES}; raise MemoryError",
            2,
            "error: the memory is full: take smaller batches (--b",
        ),
        ("raise BrokenPipeError(errno.EPIPE, 'Broken pipe')", 2, "error: nobody reads the output"),
        (f"raise {FULL}", 4, "error: /runs/one: No space left on device: what was saved before"),
        (f"raise UserError('--workdir') from {FULL}", 4, "error: /runs/one: No space left on"),
        (f"{NESTED}; raise UserError('--dataset: x') from error", 4, "error: /runs/one: No space"),
        ("raise RuntimeError('Disk quota exceeded; Failed')", 4, "error: Disk quota exceeded: "),
    ],
)
def test_an_error_is_one_line(statement, status, line):
    result = ended(statement)
    assert result.returncode == status
    assert result.stderr.startswith(line)
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("continues", "said"),
    [(True, "goes on from what is saved"), (False, "begins anew")],
)
def test_only_a_command_that_saves_promises_to_go_on(monkeypatch, capsys, continues, said):
    def stopped():
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line.app, "run", lambda main, flags_parser: main([]))
    monkeypatch.setattr(
        command_line.flags, "FLAGS", {"verbosity": types.SimpleNamespace(present=False)}
    )
    with pytest.raises(SystemExit):
        command_line.run(stopped, continues=continues)
    assert capsys.readouterr().err == f"stopped: the same command {said}\n"


def test_a_fault_of_ours_is_shown_whole():
    result = ended("raise KeyError('what')")
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_a_main_that_ends_well_has_status_0():
    result = ended("print('done')")
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")
