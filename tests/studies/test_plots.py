"""The plots are whole PNG files, drawn where the runs allow for them."""

import matplotlib.image
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from anchor_tf import specs
from anchor_tf.studies import entries, plots


def methods(text):
    return entries.check(specs.split(text), lambda name, value: int(value))


@pytest.mark.parametrize(
    ("text", "argument"),
    [
        ("anchor(beta=0),anchor(beta=4)", "beta"),
        ("anchor(beta=0,ce_weight=2),anchor(ce_weight=2,beta=4)", "beta"),
        ("anchor(beta=0,ce_weight=2),anchor(beta=4,ce_weight=1)", None),
        ("anchor(beta=0),anchor(ce_weight=1)", None),
        ("anchor,anchor(beta=4)", None),
        ("anchor(head=fresh),anchor(head=trained)", None),
        ("anchor(beta=0)", None),
        ("ce,pgd_at", None),
        ("ce --batch_size=64,ce --batch_size=128", "batch_size"),
        ("ce,ce --batch_size=128", None),
    ],
)
def test_varied_argument(text, argument):
    assert plots.varied_argument(methods(text)) == argument


def test_every_plot(fabricate, tmp_path):
    specs_given = methods("anchor(beta=0),anchor(beta=4)")
    results = {
        "anchor(beta=0)": [fabricate("a", seed, [1] * (4 + seed) + [0] * 4) for seed in range(3)],
        "anchor(beta=4)": [fabricate("b", 0, [1, 0])],
    }
    drawn = plots.draw(tmp_path / "plots", results, specs_given)
    assert [path.name for path in drawn] == [
        "accuracy_against_epsilon.png",
        "training.png",
        "accuracy_against_beta.png",
    ]
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == sorted(
        path.name for path in drawn
    )
    for path in drawn:
        picture = matplotlib.image.imread(path)
        assert picture.shape[0] >= 400
        assert picture.shape[1] >= 600
        assert 0.02 < (picture[..., :3] < 0.9).any(axis=-1).mean() < 0.6


@pytest.mark.parametrize(
    "labels",
    [
        [f"anchor(beta={beta})" for beta in range(11)],
        ["clead --backbone='resnet(depth=18)' " + "--a=1 " * 20, "clead"],
    ],
)
def test_a_large_legend_is_whole_and_hides_no_line(labels):
    figure, (axes,) = plots._figure(1)
    for label in labels:
        plots._band(axes, label, [0, 1], [[0.5], [0.6]])
    plots._legend(figure)
    FigureCanvasAgg(figure).draw()
    (legend,) = figure.legends
    extent = legend.get_window_extent()
    assert 0 <= extent.x0 < extent.x1 <= figure.bbox.x1
    assert 0 <= extent.y0 < extent.y1 < axes.get_tightbbox().y0
    assert axes.get_window_extent().height >= 300


def test_history_counts_seconds_over_all_epochs(fabricate):
    points = plots._validated(fabricate("ce", 0, [1]))
    assert points[("train", "2")] == {
        "seconds": 3.0,
        "validation_clean": 0.5,
        "validation_robust": 0.1,
    }
    assert list(points) == [("train", "2"), ("finetune", "1")]
    assert points[("finetune", "1")]["seconds"] == 5.0


def test_nothing_to_draw(tmp_path):
    assert plots.draw(tmp_path / "plots", {"ce": []}, methods("ce")) == []
    assert not (tmp_path / "plots").exists()
