"""How far things are, on the console; results, warnings and errors are printed in any case.

Attributes:
    quiet: set by `--verbosity=-2` or lower, absl's level of errors alone.
"""

import contextlib
import sys

quiet = False


def tell(text: str) -> None:
    """Prints a line that is no result, unless that is not wanted or nobody reads it."""
    _print(text, "\n")


def rewrite(line: str, *, last: bool) -> None:
    """Tells in one place how far something is: on a terminal a line takes the former one's place.

    Args:
        line: what to show.
        last: whether the next line leaves this one standing. Elsewhere than on a terminal every
            line stands.
    """
    if sys.stdout.isatty():
        _print(f"\r\033[K{line}", "\n" if last else "")
    else:
        _print(line, "\n")


def clock(seconds: float) -> str:
    """Minutes and seconds, 1:05, or hours too, 2:01:05."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _print(text: str, end: str) -> None:
    if not quiet:
        with contextlib.suppress(OSError):  # the pipe or the terminal behind it may be closed
            print(text, end=end, flush=True)
