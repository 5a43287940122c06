"""Any text within Markdown, where it means nothing but itself."""

import re

_MARKS = re.compile(r"[\\`*\[\]<>|~$&]|(?<![^\W_])_|_(?![^\W_])")
_BEGINNINGS = re.compile(r"(?=[#+-])|(?<=\d)(?=[.)])")  # of headings and lists


def text(value: object) -> str:
    r"""Text in one line, in a table's cell too: `a|b` becomes `a\|b`."""
    return _MARKS.sub(r"\\\g<0>", _in_one_line(value))


def item(value: object) -> str:
    """Text that begins a line or an item of a list."""
    escaped = text(value)
    beginning = re.match(r"\d*", escaped).end() + 1
    return _BEGINNINGS.sub(r"\\", escaped[:beginning], count=1) + escaped[beginning:]


def code(value: object) -> str:
    """Text in one line, set as code; not for a table's cell."""
    plain = _in_one_line(value)
    fence = "`" * (max(map(len, re.findall("`+", plain)), default=0) + 1)
    space = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{space}{plain}{space}{fence}"


def _in_one_line(value: object) -> str:
    words = str(value).split()
    return "".join(c if c.isprintable() else "?" for c in " ".join(words))
