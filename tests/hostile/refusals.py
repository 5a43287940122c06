"""What a refusal must be."""

import pytest

from anchor_tf.errors import UserError


def refuse(function, *arguments, named: str, **keywords) -> None:
    """Checks that a call is refused in one line that names what is wrong."""
    with pytest.raises(UserError) as error:
        function(*arguments, **keywords)
    assert named in str(error.value)
    assert "\n" not in str(error.value)
