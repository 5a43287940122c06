"""The parts that report.html is built of; whatever text they get is escaped."""

import base64
import html
import pathlib
from collections.abc import Iterable, Sequence

from anchor_tf.reports.html_style import STYLE

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def page(title: str, body: str) -> str:
    """A whole document around markup; a browser is told to load nothing beside it."""
    return _PAGE.format(title=text(title), style=STYLE, body=body)


def text(value: object) -> str:
    """Escaped text."""
    return html.escape(str(value))


def code(value: object) -> str:
    """Escaped text, set as code."""
    return f"<code>{text(value)}</code>"


def paragraph(markup: str, kind: str = "") -> str:
    """A paragraph of markup, of a class of the stylesheet."""
    return f'<p class="{kind}">{markup}</p>' if kind else f"<p>{markup}</p>"


def bullets(items: Iterable[str], kind: str = "") -> str:
    """A list of markup, of a class of the stylesheet."""
    listed = "".join(f"<li>{item}</li>" for item in items)
    return f'<ul class="{kind}">{listed}</ul>' if kind else f"<ul>{listed}</ul>"


def section(identifier: str, title: str, parts: Sequence[str]) -> str:
    """A section with a heading that the navigation leads to."""
    body = "\n".join(part for part in parts if part)
    return f'<section>\n<h2 id="{identifier}">{text(title)}</h2>\n{body}\n</section>'


def facts(entries: Sequence[tuple[str, str]], kind: str = "facts") -> str:
    """Names and what they stand for, the latter as markup."""
    listed = "".join(
        f"<div><dt>{text(name)}</dt><dd>{markup}</dd></div>"
        if kind == "figures"
        else f"<dt>{text(name)}</dt><dd>{markup}</dd>"
        for name, markup in entries
    )
    return f'<dl class="{kind}">{listed}</dl>'


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    words: int = 1,
    charts: tuple[str, Sequence[str]] | None = None,
) -> str:
    """A table that scrolls by itself where it is too wide.

    Args:
        header: of the columns.
        rows: the text of the cells.
        words: how many of the first columns hold words, not numbers.
        charts: the title of a second column and its markup, one a row.
    """
    columns = [header[0], charts[0], *header[1:]] if charts else header
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in columns)
    body = []
    for number, row in enumerate(rows):
        cells = [
            f'<td class="text">{text(cell)}</td>' if place < words else f"<td>{text(cell)}</td>"
            for place, cell in enumerate(row)
        ]
        if words:
            cells[0] = f'<th scope="row">{text(row[0])}</th>'
        if charts:
            cells.insert(1, f'<td class="chart">{charts[1][number]}</td>')
        body.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="wide" tabindex="0" role="group" aria-label="table">'
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>{chr(10).join(body)}</tbody></table></div>"
    )


def bar(share: float, interval: tuple[float, float]) -> str:
    """A bar for a share in [0, 1], with a line for its interval."""
    lower, upper = (100 * limit for limit in interval)
    return (
        f'<svg class="bar" viewBox="0 0 100 9" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="9"/>'
        f'<rect class="share" width="{100 * share:.2f}" height="9"/>'
        f'<line class="interval" x1="{lower:.2f}" x2="{upper:.2f}" y1="4.5" y2="4.5"/></svg>'
    )


def picture(path: pathlib.Path, description: str, caption: str) -> str:
    """A PNG file within the page; nothing where there is no file."""
    if not path.is_file():
        return ""
    encoded = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<figure><img alt="{text(description)}" src="data:image/png;base64,{encoded}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
