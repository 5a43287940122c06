"""How every main starts: flags parsed, mistakes told in one line, TensorFlow quiet."""

import contextlib
import errno
import importlib
import os
import sys
from collections.abc import Callable

from absl import app, flags, logging

from anchor_tf.errors import DivergedError, StoppedError, UserError
from anchor_tf.terminal import console

USER_MISTAKE = 2
DIVERGED = 3
NO_SPACE = 4
INTERRUPTED = 130
CONTINUES = "the same command goes on from what is saved"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run(main: Callable[[], None], command: str = "", *, continues: bool = True) -> None:
    """Defines a command's flags, parses the command line, calls `main()` and exits.

    Flags are defined here, not on import: two commands may mean different things by a name.

    Args:
        main: reads its flags and does the work. What ends it early is told in one line on stderr:
            with status 2 a UserError, an OSError that names a file, a full memory and an output
            that is closed; with 3 a DivergedError, with 4 a full disk, with 128 + its number a
            signal.
        command: the module of `anchor_tf.flags` that defines its flags; none by default.
        continues: whether, given again, it goes on from what it has saved.
    """
    if command:
        importlib.import_module(f"anchor_tf.flags.{command}")
    again = CONTINUES if continues else "the same command begins anew"
    app.run(lambda _: _guarded(main, again), flags_parser=_parse)


def fail(message: str, status: int = USER_MISTAKE) -> None:
    """Prints one line and exits."""
    shown = "".join(c if c.isprintable() else "?" for c in " ".join(message.split()))
    say(f"error: {shown}")
    sys.exit(status)


def say(text: str) -> None:
    """Prints a line on stderr, if anybody is there to read it."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _guarded(main: Callable[[], None], again: str) -> None:
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.ERROR)
    elif flags.FLAGS.verbosity <= logging.ERROR:
        console.quiet = True
    try:
        main()
    except UserError as error:
        cause = error
        while isinstance(cause, UserError):
            cause = cause.__cause__
        if isinstance(cause, OSError):
            _fail_for_want_of_space(cause)
        fail(str(error))
    except DivergedError as error:
        fail(str(error), DIVERGED)
    except StoppedError as stop:
        say(str(stop))
        sys.exit(128 + stop.number)
    except KeyboardInterrupt:
        say(f"stopped: {again}")
        sys.exit(INTERRUPTED)
    except Exception as error:
        if getattr(error, "errno", None) in (errno.EPIPE, errno.EIO) and error.filename is None:
            _silence()
            fail(f"nobody reads the output any more: {again}")
        _fail_for_want_of_space(error)
        if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
            batches = [name for name in ("batch_size", "batch_sizes") if name in flags.FLAGS]
            smaller = "".join(f"smaller batches (--{name}), " for name in batches)
            fail(f"the memory is full: take {smaller}a smaller network or smaller images")
        if not isinstance(error, OSError) or error.filename is None:
            raise
        fail(f"{error.filename}: {error.strerror}")


def _silence() -> None:
    """Sends standard output nowhere: at its end Python would complain of a closed pipe again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail_for_want_of_space(error: Exception) -> None:
    """Ends the process if that is what an error comes from; Keras and TensorFlow have their own."""
    for number in NO_ROOM:
        reason = os.strerror(number)
        if getattr(error, "errno", None) == number or reason in str(error):
            where = f"{error.filename}: " if getattr(error, "filename", None) else ""
            fail(
                f"{where}{reason}: what was saved before is whole; make room, and the same "
                "command goes on",
                NO_SPACE,
            )


def _parse(arguments: list[str]) -> list[str]:
    try:
        rest = flags.FLAGS(arguments)
    except (flags.Error, UnicodeError) as error:
        where = "--flagfile: " if isinstance(error, UnicodeError) else ""
        fail(f"{where}{error}")
    for name, value in flags.FLAGS.flag_values_dict().items():
        if not str(value).isprintable():
            fail(f"--{name} holds a character that cannot be printed")
    if len(rest) > 1:
        fail(f"{rest[1]!r} is not a flag: every argument has the form --NAME=VALUE, see --helpfull")
    return rest


def import_tensorflow(virtual_devices: int | None = None, start_devices: bool = True) -> None:
    """Imports TensorFlow and starts its devices without the start-up messages.

    Whoever wants them sets TF_CPP_MIN_LOG_LEVEL.

    Args:
        virtual_devices: into how many devices to split the CPU; not at all by default.
        start_devices: whether to start them now, while messages are kept away; several workers
            must meet first.
    """
    quiet = "TF_CPP_MIN_LOG_LEVEL" not in os.environ
    if quiet:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with _stderr_closed() if quiet else contextlib.nullcontext():
        import tensorflow as tf

        if quiet:
            tf.get_logger().setLevel("ERROR")
        if virtual_devices:
            device = tf.config.list_physical_devices("CPU")[0]
            parts = [tf.config.LogicalDeviceConfiguration()] * virtual_devices
            tf.config.set_logical_device_configuration(device, parts)
        if start_devices:
            tf.config.list_logical_devices()


@contextlib.contextmanager
def _stderr_closed():
    """Sends file descriptor 2 nowhere: the messages come from C++ before its logging starts."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
