"""What TensorBoard itself makes of a run, asked as its pages ask it, and the report as a page."""

import io
import json
import time
import urllib.parse
import urllib.request

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from anchor_tf.pipelines.sources.digits import digits
from tests.browser import chromium, pages, runs, tensorboard_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return runs.make(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def ask(run):
    """A function that asks TensorBoard and returns the body of its answer."""
    with tensorboard_server.serving(run.parent) as address:

        def ask(route, body=None, **parameters):
            query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
            request = urllib.request.Request(f"{address}data/{route}{query}")
            if body is not None:
                request.data = json.dumps(body).encode()
                request.add_header("Content-Type", "application/json")
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.read()

        tensorboard_server.until_all_is_read(ask)
        ask.address = address
        yield ask


def test_projector_gives_vectors_table_and_thumbnails(ask, run):
    assert json.loads(ask("plugin/projector/runs")) == ["run/logs/projector"]
    where = {"run": "run/logs/projector"}
    embeddings = json.loads(ask("plugin/projector/info", **where))["embeddings"]
    assert [e["tensorName"] for e in embeddings] == ["final", "train_epoch_4", "train_epoch_2"]
    rows = runs.table(run / "logs" / "projector" / "final" / "metadata.tsv")
    where["name"] = "final"
    vectors = np.frombuffer(ask("plugin/projector/tensor", **where), np.float32)
    assert vectors.size == len(rows) * embeddings[0]["tensorShape"][1]
    table = ask("plugin/projector/metadata", **where).decode()
    assert table.splitlines()[1].split("\t") == list(rows[0].values())
    sprite = Image.open(io.BytesIO(ask("plugin/projector/sprite_image", **where)))
    side = int(np.ceil(np.sqrt(len(rows)))) * 32
    assert sprite.width == side


def test_the_vectors_are_what_the_saved_model_embeds(run):
    folder = run / "logs" / "projector" / "final"
    rows = runs.table(folder / "metadata.tsv")
    vectors = np.loadtxt(folder / "vectors.tsv", delimiter="\t")
    clean = [row for row in rows if row["attacked"] == "no"]
    test, ids = digits().test, [int(row["id"]) for row in clean]
    assert np.bincount(test.labels[ids]).tolist() == np.bincount(test.labels).tolist()
    assert [int(row["label"]) for row in clean] == test.labels[ids].tolist()
    images = tf.constant(test.images[ids])
    served = tf.saved_model.load(str(run / "export" / "1")).signatures
    expected = served["embed"](images=images)["embedding"].numpy()
    np.testing.assert_allclose(vectors[: len(clean)], expected, atol=2e-5)
    labels = served["serving_default"](images=images)["label"].numpy()
    assert [int(row["clean_prediction"]) for row in clean] == labels.tolist()


def test_the_attacked_points_tell_what_the_report_does(run):
    rows = runs.table(run / "logs" / "projector" / "final" / "metadata.tsv")
    with np.load(run / "outcomes.npz") as outcomes:
        worst = dict(zip(outcomes["indices"], outcomes["worst_case"], strict=True))
        clean = dict(zip(outcomes["indices"], outcomes["clean"], strict=True))
    attacked = [row for row in rows if row["attacked"] == "yes"]
    assert len(attacked) == sum(clean.values())
    for row in attacked:
        assert (row["attacked_prediction"] == row["label"]) == worst[int(row["id"])]
    assert {row["id"] for row in attacked} <= {row["id"] for row in rows[: len(worst)]}


def test_scalars_of_training_and_validation_share_their_steps(ask):
    tags = json.loads(ask("plugin/scalars/tags"))
    training, validation = tags["run/logs/train/training"], tags["run/logs/train/validation"]
    assert {"loss", "learning_rate", "epsilon", "gradient_norm", "images_per_second"} <= {*training}
    assert {"attack_loss_rise", "attack_perturbation"} <= {*validation}
    assert {"robust_accuracy"} <= {*training} & {*validation}
    for name in ("training", "validation"):
        where = {"run": f"run/logs/train/{name}", "tag": "robust_accuracy"}
        points = json.loads(ask("plugin/scalars/scalars", **where))
        assert [step for _, step, _ in points] == [runs.STEPS * epoch for epoch in (1, 2, 3, 4)]


def test_examples_are_images(ask):
    tags = json.loads(ask("plugin/images/tags"))
    assert list(tags) == ["run/logs/train/examples"]
    (tag,) = tags["run/logs/train/examples"]
    where = {"run": "run/logs/train/examples", "tag": tag, "sample": 0}
    found = json.loads(ask("plugin/images/images", **where))
    assert len(found) == 4
    picture = ask(f"plugin/images/individualImage?{found[-1]['query']}")
    assert Image.open(io.BytesIO(picture)).size == (8 * 130, 3 * 130)


def test_a_study_s_runs_stand_under_hparams(ask):
    wanted = {"experimentName": "", "includeMetrics": True}
    experiment = json.loads(ask("plugin/hparams/experiment", wanted))
    differing = {info["name"] for info in experiment["hparamInfos"] if info.get("differs")}
    assert differing == {"method", "seed"}
    columns = [{"metric": info["name"]} for info in experiment["metricInfos"]]
    wanted = {"experimentName": "", "startIndex": 0, "sliceSize": 9, "colParams": columns}
    wanted["allowedStatuses"] = ["STATUS_SUCCESS"]
    groups = json.loads(ask("plugin/hparams/session_groups", wanted))["sessionGroups"]
    found = {}
    for group in groups:
        values = {value["name"]["tag"]: value["value"] for value in group["metricValues"]}
        assert values["worst case %"] == values["pgd(steps=20) %"]
        assert (values["clean %"], values["training_seconds"]) == (pytest.approx(90), 12.5)
        found[group["hparams"]["method"], group["hparams"]["seed"]] = values["worst case %"]
        told = {name: group["hparams"][name] for name in ("attacks", "examples", "attacked_norm")}
        assert told == {"attacks": "pgd(steps=20)", "examples": 200, "attacked_norm": "linf"}
    assert found == {
        ("pgd_at", 0): pytest.approx(50), ("trades(beta=6)", 0): pytest.approx(70),
        ("pgd_at", 1): pytest.approx(60), ("trades(beta=6)", 1): pytest.approx(80),
    }  # fmt: skip


def test_the_profile_holds_the_steps_asked_for(run):
    (path,) = (run / "logs" / "train" / "training" / "plugins" / "profile").rglob("*.xplane.pb")
    space = xplane_pb2.XSpace.FromString(path.read_bytes())
    names = [
        plane.event_metadata[event.metadata_id].name
        for plane in space.planes
        for line in plane.lines
        for event in line.events
    ]
    assert sum(name.partition("#")[0] == "train" for name in names) == 2
    assert any("Conv2D" in name for name in names)


def needs_browser(test):
    """Marks a test, and skips it where there is no browser."""
    reason = "no Chromium in the PATH: tests/browser/install_chromium installs it"
    return pytest.mark.browser(pytest.mark.skipif(chromium.path() is None, reason=reason)(test))


@pytest.fixture
def page(tmp_path):
    with chromium.opened(tmp_path) as opened:
        yield opened


@needs_browser
def test_a_browser_shows_thumbnails_coloured_by_label(ask, run, page):
    pages.open_projector(page, ask.address, seconds=60)
    rows = runs.table(run / "logs" / "projector" / "final" / "metadata.tsv")
    assert pages.points(page) == len(rows)
    assert len(pages.hues(pages.cloud(page))) <= 4  # grey digits, and the three axes
    pages.color_by(page, "label")
    deadline = time.monotonic() + 20
    while len(pages.hues(pages.cloud(page))) < 7 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(pages.hues(pages.cloud(page))) >= 7  # ten colours, one of them grey


@needs_browser
def test_a_browser_shows_both_runs_in_one_chart(ask, page):
    shown = pages.chart(page, ask.address, "robust_accuracy", seconds=30)
    steps = 4.0 * runs.STEPS
    assert shown == {"run/logs/train/training": steps, "run/logs/train/validation": steps}


@needs_browser
def test_a_browser_opens_the_report(run, page):
    page.go((run / "report.html").as_uri())
    page.wait("document.readyState === 'complete' && document.images.length > 1", seconds=20)
    page.wait("[...document.images].every(image => image.naturalWidth > 0)", seconds=20)
    text = page.value("document.body.innerText").lower()
    for wanted in ("worst case", "pgd(steps=5)", "--method=pgd_at", "accuracy against epsilon"):
        assert wanted in text
    outside = "[...document.querySelectorAll('[src], link[href]')].map(e => e.src || e.href)"
    assert all(source.startswith("data:") for source in page.value(outside))
