"""Names with any characters in them, through everything that is written about a model."""

import csv
import html.parser
import io

import matplotlib.image
import numpy as np
import pytest
from markdown_it import MarkdownIt

from anchor_tf.reports import (
    confusion_plot,
    epsilon_plot,
    escaping,
    examples_plot,
    html_report,
    markdown,
    model_card,
)
from anchor_tf.studies import table_files
from anchor_tf.tensorboard import projector

NAMES = [
    "a|b", "|", "`code`", "a``b`", "*bold*", "_em_", "__init__", "snake_case", "[x](y)",
    "![x](y)", "<b>bold</b>", "<script>alert(1)</script>", "a & b", "&lt;", "$x^2$", "$0_$10", "$",
    "~~gone~~", "\\", "\\|", "a\\b", "a\nb", "a\r\n\n# b", "a\tb", "# head", "- item", "1. item",
    "12) item", "+ item", "> quote", "--- | ---", "caf\u00e9", "\u6f22\u5b57", "\u202eright",
    "\u001b[2J", "=1+1", "'\"", "{x}", "%s", "a" * 300,
]  # fmt: skip
ONE_LINE = {
    name: "".join(c if c.isprintable() else "?" for c in " ".join(name.split())) for name in NAMES
}
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


class Text(html.parser.HTMLParser):
    """The text of a page, by the kind of its innermost element."""

    def __init__(self, page):
        super().__init__()
        self.cells, self.items, self.codes, self.tags = [], [], [], []
        self.open = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.tags.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")
        if tag == "li":
            self.items.append("")
        if tag == "code":
            self.codes.append("")

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        for tag, texts in (("td", self.cells), ("th", self.cells), ("li", self.items)):
            if tag in self.open:
                texts[-1] += data
        if "code" in self.open:
            self.codes[-1] += data


def report_of(name, other="other", attack=None):
    figures = {"accuracy": 0.5}
    entry = {**figures, "seconds": 1.0, "settings": {"steps": 3}}
    attack = attack or name
    return {
        "dataset": name, "split": "test", "examples": 10, "norm": "linf", "epsilon": 0.1,
        "clean": figures, "attacks": {attack: entry}, "worst_case": figures, "seed": 0,
        "versions": {"anchor_tf": "1"}, "warnings": [name, f"{name} and more"],
        "method": name, "backbone": name, "curve": {"attack": attack, "points": [[0.1, 0.5]]},
        "classes": {
            name: {"examples": 5, "clean": 0.5, "worst_case": 0.2},
            other: {"examples": 5, "clean": 0.5, "worst_case": 0.5},
        },
        "confusions": [{"class": name, "answer": other, "examples": 3, "share": 0.6}],
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_markdown_shows_the_name(name):
    shown = ONE_LINE[name]
    page = Text(PARSER.render(markdown.render(report_of(name))))
    assert page.cells.count(shown) == 3  # an attack, a class, a confusion
    assert len(page.cells) == 5 * 4 + 4 * 3 + 4 * 2
    assert page.items[-2:] == [shown, f"{shown} and more".strip()]
    assert page.codes.count(shown) == 5
    assert set(page.tags) <= {
        "h1", "h2", "p", "ul", "li", "code", "img", "table", "thead", "tbody", "tr", "th", "td"
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_the_card_shows_the_name(name):
    page = Text(PARSER.render(model_card.render(report_of(name, attack="fgsm"))))
    assert page.codes.count(ONE_LINE[name]) >= 5
    assert ONE_LINE[name] in page.items
    assert set(page.tags) <= {"h1", "h2", "p", "ul", "li", "code"}


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_the_page_shows_the_name(name, tmp_path):
    page = Text(html_report.render(report_of(name), tmp_path))
    assert page.cells.count(name) == 3
    assert page.items[-3:-1] == [name, f"{name} and more"] or name in page.items
    assert {"b", "script", "em"}.isdisjoint(page.tags)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_study_shows_the_name(name):
    spread = {"mean": 0.5, "std": 0.1}
    row = {
        "method": name, "runs": [0, 1], "accuracies": {"clean": spread, name: spread},
        "failures": 0, "difference": None, "epochs": 3, "image_passes": 4, "parameters": 5,
        "training_seconds": spread, "attack_seconds": spread,
    }  # fmt: skip
    shared = {"title": "digits", "command": "x", "examples": 10, "machine": None}
    page = Text(PARSER.render(table_files.markdown(shared, [row], [name])))
    assert page.cells.count(ONE_LINE[name]) == 1
    assert page.cells.count(f"{ONE_LINE[name]} %") == 1
    rows = list(csv.reader(io.StringIO(table_files.as_csv([row]))))
    assert rows[1][0] == name
    assert {len(line) for line in rows} == {len(rows[0])}


def test_plots_take_all_names(tmp_path):
    images = np.zeros((8, 4, 4, 1), np.float32)
    for start in range(0, len(NAMES), 8):
        names = NAMES[start : start + 8]
        places = np.arange(len(names))
        others, shown = np.roll(places, 1), images[: len(names)]
        confusion_plot.confusion(tmp_path / "1.png", places, others, names)
        path = tmp_path / "2.png"
        examples_plot.examples(path, shown, shown + 0.1, places, others, names)
    curves = {name: [(0.0, 0.9), (0.1, 0.5)] for name in NAMES[:-1]}
    epsilon_plot.accuracy_against_epsilon(tmp_path / "3.png", curves, norm="linf", examples=9)
    assert matplotlib.image.imread(tmp_path / "3.png").shape[0] >= 400


def test_the_projector_takes_all_names(tmp_path):
    count = len(NAMES)
    images = np.zeros((count, 4, 4, 1), np.uint8)
    side = projector.Side(images, np.eye(count), np.arange(count))
    shown = projector.Shown(np.arange(count), np.arange(count), side, side, np.ones(count, bool))
    projector.write(tmp_path, "final", shown, NAMES)
    with open(tmp_path / "final" / "metadata.tsv", newline="", encoding="utf-8") as file:
        lines = file.read().split("\n")
    assert len(lines) == 2 * count + 2
    assert {line.count("\t") for line in lines[:-1]} == {4}


def test_plain_names_stay_as_they_are():
    for name in (
        "cat",
        "n_fgsm",
        "pgd(steps=20,restarts=2)",
        "8/255",
        "-1.250",
        "african elephant",
    ):
        assert escaping.text(name) == name
    assert escaping.item("gradients may be masked") == "gradients may be masked"
    assert escaping.code("pgd(steps=20)") == "`pgd(steps=20)`"
