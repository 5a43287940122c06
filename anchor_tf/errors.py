"""The error that stands for a user's mistake."""


class UserError(ValueError):
    """A mistake in a flag, a file or an argument.

    Its message is one line that names the flag, file or argument and says what to do. The mains
    print it and exit with status 2.
    """
