import pytest

from anchor_tf import specs
from anchor_tf.errors import UserError

ATTACKS = "anchor_tf.attacks"


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ("pgd", "pgd", {}),
        (" pgd() ", "pgd", {}),
        ("pgd(steps=20, step_size=2/255)", "pgd", {"steps": 20, "step_size": 2 / 255}),
        ("folder(path=/data/x y)", "folder", {"path": "/data/x y"}),
        ("npz(path='a,b.npz')", "npz", {"path": "a,b.npz"}),
        (
            "x(a=True, b=None, c=[1, 2], d=-1e-3)",
            "x",
            {"a": True, "b": None, "c": [1, 2], "d": -1e-3},
        ),
        ("folder(path=a=b)", "folder", {"path": "a=b"}),
        ("x(a=1/0)", "x", {"a": "1/0"}),
    ],
)
def test_parse(text, name, arguments):
    spec = specs.parse(text)
    assert spec.name == name
    assert spec.arguments == arguments


def test_text_is_canonical():
    assert (
        specs.parse(" pgd( steps = 20 ,step_size=2/255 )").text == "pgd(steps=20,step_size=2/255)"
    )


def test_split_only_on_top_level_commas():
    assert specs.split("fgsm, pgd(steps=20, kappa=[1,2]),'a,b'") == [
        "fgsm",
        "pgd(steps=20, kappa=[1,2])",
        "'a,b'",
    ]
    assert specs.split("") == []


@pytest.mark.parametrize(
    "text", ["", "pgd(20)", "pgd(steps=)", "pgd(steps=1", "pgd(steps=1,steps=2)", "1x"]
)
def test_malformed_specs_are_refused(text):
    with pytest.raises(UserError):
        specs.parse(text)


def check(text, family=ATTACKS, kind="attack"):
    return specs.check(specs.parse(text), family, kind)


def test_values_get_their_declared_types():
    assert check("cw(kappa=1)").arguments == {"kappa": 1.0}
    assert isinstance(check("cw(kappa=1)").arguments["kappa"], float)
    assert check("pgd(step_size=None)").arguments == {"step_size": None}
    assert check("npz(path=123)", "anchor_tf.pipelines.sources", "dataset").arguments == {
        "path": "123"
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pdg", "unknown attack 'pdg': did you mean pgd?"),
        ("pgd(stps=2)", "no argument 'stps': did you mean steps?"),
        ("fgsm(steps=2)", "it takes none"),
        ("pgd(steps=2.5)", "steps=2.5 should be int"),
        ("pgd(steps=True)", "steps=True should be int"),
        ("pgd(random_start=1)", "random_start=1 should be bool"),
        ("pgd(step_size=1e999)", "step_size=1e999 should be a finite number"),
        ("pgd(objective=dlr)", "objective=dlr should be 'ce' or 'margin'"),
    ],
)
def test_mistakes_are_named(text, message):
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        check(text)


def test_missing_argument_is_named():
    with pytest.raises(UserError, match="npz needs path="):
        check("npz", "anchor_tf.pipelines.sources", "dataset")


def test_every_plugin_loads_and_has_its_name():
    for family in (
        ATTACKS,
        "anchor_tf.methods",
        "anchor_tf.backbones",
        "anchor_tf.pipelines.sources",
    ):
        names = specs.known(family)
        assert names
        for name in names:
            loaded = specs.load(specs.Spec(name, {}, name), family)
            assert loaded.__name__.replace("_", "").lower() == name.replace("_", "")


def test_literal_numbers_keep_their_type():
    spec = check("resnet(depth=34, width=16)", "anchor_tf.backbones", "backbone")
    assert spec.arguments == {"depth": 34, "width": 16}
    with pytest.raises(UserError, match="depth=19 should be 18 or 34 or 50"):
        check("resnet(depth=19)", "anchor_tf.backbones", "backbone")


@pytest.mark.parametrize("text", ["{[]: 1}", "{{1}}"])
def test_what_is_no_value_stays_text(text):
    assert specs.parse_value(text) == text
