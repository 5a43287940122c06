"""report.html: one sound file that loads nothing, tells all and escapes what it is given."""

import base64
import html.parser
import re

import pytest

from anchor_tf.evaluation.runner import evaluate
from anchor_tf.reports import html_report, report
from anchor_tf.threat import Threat

HOSTILE = "<script>alert('x')</script>&\""
VOID = {"meta", "img", "rect", "line"}
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


class Reader(html.parser.HTMLParser):
    """Collects tags, attributes and text; fails where a tag is not closed in its turn."""

    def __init__(self, document):
        super().__init__()
        self.open, self.elements, self.words = [], [], []
        self.feed(document)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice"
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag in VOID
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


TRAINING = {
    "method": "trades(beta=6)", "dataset": "digits", "norm": "linf", "epsilon": 8 / 255,
    "attack_steps": 7, "training_attack": "pgd", "precision": "bfloat16", "epochs": 12,
    "finetune": "auto", "finetune_epochs": 3, "batch_size": 40, "learning_rate": 0.05,
    "finetune_learning_rate": 0.01, "finetune_optimizer": "sgd", "augment": "crop(padding=1)",
    "select": "best", "seed": 5, "weight_decay": 5e-4, "label_smoothing": 0.0, "ema_decay": 0.9,
    "awp": 0.0, "clip_norm": 0.0, "init_from": "/runs/first",
}  # fmt: skip


PHASES = {
    "train": {"epochs": 12, "attack": {"name": "pgd", "steps": 7, "at_most": False}},
    "finetune": {"mode": "slf", "epochs": 3, "attack": None},
}
MACHINE = {
    "processor": "a processor", "cores": 4, "threads": 2, "gpus": [], "onednn": True,
    "onednn_max_cpu_isa": "AVX2", "instruction_set": "AVX512",
}  # fmt: skip


@pytest.fixture(scope="module")
def full(network, images, labels, parse):
    """A report with every section."""
    threats = Threat("linf", 8 / 255), Threat("l2", 0.5)
    evaluations = [
        evaluate(network, images, labels, parse("fgsm", "pgd(steps=3)"), threat, keep_examples=True)
        for threat in threats
    ]
    measures = dict.fromkeys(
        ("alignment", "uniformity", "inter_class_distance", "adversarial_shift"), 0.5
    )
    accuracies = {"clean": 0.75, "attacked": 0.25}
    measures |= {"knn": accuracies, "linear_probe": accuracies, "intra_class_distance": None}
    measures |= {"training_examples": 77, "examples": 50, "k": 10}
    return report.build(
        evaluations,
        dataset="digits",
        split="test",
        seed=5,
        class_names=["no", "one", HOSTILE, "three"],
        curve=("fgsm", [(0.0, 0.9), (0.1, 0.5)]),
        representation=measures,
        last=evaluations[0],
        warnings=["gradients may be masked", HOSTILE],
        extra={
            "method": "trades(beta=6)",
            "backbone": "small",
            "parameters": 1234567,
            "training_images": 1293,
            "training_seconds": 75.4,
            "image_passes": 98,
            "image_shape": [6, 6, 1],
            "training": TRAINING,
            "phases": PHASES,
            "machine": MACHINE,
            "commands": ["python -m anchor_tf.train '--augment=crop(padding=1)'"],
        },
    )


@pytest.fixture
def written(full, tmp_path):
    (tmp_path / "plots").mkdir()
    for name in ("accuracy_against_epsilon", "adversarial_examples", "confusion_under_attack"):
        (tmp_path / "plots" / f"{name}.png").write_bytes(PIXEL + name.encode())
    report.write(full, tmp_path)
    return (tmp_path / "report.html").read_text()


def test_it_is_one_sound_document(written):
    assert written.startswith("<!DOCTYPE html>\n<html lang=")
    reader = Reader(written)
    tags = [tag for tag, _ in reader.elements]
    for tag in ("html", "head", "title", "body", "h1", "main", "nav"):
        assert tags.count(tag) == 1, tag
    identifiers = [a["id"] for _, a in reader.elements if "id" in a]
    assert len(identifiers) == len(set(identifiers))
    assert [a["href"] for a in reader.all("a")] == [f"#{name}" for name in identifiers]
    columns = re.findall(
        r"<table><thead><tr>(.*?)</tr></thead>\n<tbody>(.*?)</tbody>", written, re.S
    )
    assert len(columns) == len(reader.all("table")) == 9
    for head, body in columns:
        for row in body.split("\n"):
            assert len(re.findall("<t[dh]", row)) == head.count("<th")


def test_it_loads_nothing_and_runs_nothing(written):
    reader = Reader(written)
    assert {tag for tag, _ in reader.elements}.isdisjoint({"script", "link", "iframe", "object"})
    for tag, attributes in reader.elements:
        assert not any(name.startswith("on") for name in attributes), tag
    sources = [a["src"] for a in reader.all("img")]
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert [base64.b64decode(s.partition(",")[2])[len(PIXEL) :] for s in sources] == [
        b"accuracy_against_epsilon",
        b"confusion_under_attack",
        b"adversarial_examples",
    ]
    assert all(a["alt"] for a in reader.all("img"))
    assert not re.search(r"https?://|url\(|@import", written)
    assert "default-src 'none'" in reader.all("meta")[1]["content"]


def test_what_it_is_given_is_escaped(written):
    assert "<script" not in written
    words = "".join(Reader(written).words)
    assert words.count(HOSTILE) >= 2  # a class and a warning


def test_it_tells_all(written, full):
    words = " ".join("".join(Reader(written).words).split())
    clean, worst = (100 * full[key]["accuracy"] for key in ("clean", "worst_case"))
    for part in (
        "Robustness report: trades(beta=6) on digits",
        f"Right without an attack{clean:.1f} %70.8 to 86.3, 95 %",
        f"Right in the worst case{worst:.1f} %",
        "1,234,567 parameters",
        "6x6 pixels, grey, 1,293 for training",
        "pgd of 7 steps, L-inf epsilon 8/255",
        "12, batches of 40",
        "slf, 3 epochs of batches of 40 at 0.01 with sgd, without attack",
        "a processor, oneDNN on, AVX512, capped at AVX2, 2 threads on 4 cores",
        "weight_decay 0.0005, ema_decay 0.9",
        "bfloat16",
        "/runs/first",
        "75 seconds",
        "L2 epsilon 0.5",
        "taken for",
        "gradients may be masked",
        "steps 3, step_size 0.0261438",
        "10 nearest neighbours",
        "best on the validation split",
        "python -m anchor_tf.train '--augment=crop(padding=1)'",
    ):
        assert part in words, part
    assert "None: nothing" not in words


@pytest.mark.parametrize(
    ("phases", "told", "untold"),
    [
        (
            {"train": {"epochs": 12, "attack": None}},
            ["Attack in training none"],
            ["pgd", "n_fgsm", "Fine-tuning", "at most"],
        ),
        (
            {"train": {"epochs": 12, "attack": {"name": "n_fgsm", "steps": 1, "at_most": False}}},
            ["Attack in training n_fgsm of 1 step, L-inf epsilon 8/255"],
            ["1 steps", "none", "at most"],
        ),
        (
            {"train": {"epochs": 12, "attack": {"name": "pgd", "steps": 7, "at_most": True}}},
            ["Attack in training pgd of at most 7 steps", "network at most 98 times"],
            ["none"],
        ),
        (
            {"finetune": {"mode": "alf", "epochs": 3, "attack": PHASES["train"]["attack"]}},
            ["alf, 3 epochs of batches of 40 at 0.01 with sgd, attack pgd of 7 steps, L-inf"],
            ["Attack in training", "without attack"],
        ),
        ({}, [], ["Attack in training", "Fine-tuning"]),
    ],
    ids=["none", "one step", "early", "fine-tuned alone", "unknown"],
)
def test_attacks_in_training_are_those_of_its_phases(full, phases, told, untold, tmp_path):
    document = html_report.render({**full, "phases": phases}, tmp_path)
    section = document.partition('id="training"')[2].partition("</section>")[0]
    words = " ".join(re.sub("<[^>]*>", " ", section).split())
    words = words.replace(" ,", ",")
    assert all(part in words for part in told), words
    assert not any(part in words for part in untold), words


def test_bars_are_as_long_as_the_shares(written, full):
    widths = re.findall(r'<rect class="share" width="([\d.]+)"', written)
    figures = full["sweep"]
    expected = [
        entry["accuracy"]
        for one in figures
        for entry in (one["clean"], *one["attacks"].values(), one["worst_case"])
    ]
    assert [float(width) for width in widths] == [round(100 * share, 2) for share in expected]


def test_a_report_of_an_unknown_model_has_less(network, images, labels, tmp_path):
    evaluation = evaluate(network, images, labels, [], Threat("linf", 0.1))
    built = report.build([evaluation], dataset="digits", split="test", seed=0)
    document = html_report.render(built, tmp_path)
    words = "".join(Reader(document).words)
    assert "Robustness report: a classifier on digits" in words
    assert "None: nothing in this evaluation looked odd" in words
    for absent in ("Worst confusions", "Representation", "Last epoch", "How to make it again"):
        assert absent not in words
    assert "<img" not in document
