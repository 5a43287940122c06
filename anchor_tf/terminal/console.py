"""Whether the console is told how far things are; results, warnings and errors always are.

Attributes:
    quiet: set by `--verbosity=-2` or lower, absl's level of errors alone.
"""

import contextlib

quiet = False


def tell(text: str, end: str = "\n") -> None:
    """Prints something that is no result, unless that is not wanted or nobody reads it."""
    if not quiet:
        with contextlib.suppress(OSError):  # the pipe or the terminal behind it may be closed
            print(text, end=end, flush=True)
