"""How a run ends that does not reach its end."""


class UserError(ValueError):
    """A mistake in a flag, a file or an argument.

    Its message is one line that names the flag, file or argument and says what to do. The mains
    print it and exit with status 2, or with 4 if it comes from a full disk.
    """


class DivergedError(ArithmeticError):
    """Training has met a loss or gradient that is not finite.

    Its message is one line that names the step, the batch and the last good checkpoint. The mains
    print it and exit with status 3.
    """


class StoppedError(Exception):
    """A signal has stopped a run, which is saved.

    The mains print its message and exit with 128 + the signal's number.

    Args:
        message: where the run goes on.
        number: the signal's.
    """

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.number = number
