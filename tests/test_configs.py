"""A wrong key or choice fails before any work, and the message names the choices."""

import pytest

from pipelines import configs, discovery

ROWS = [(family, candidate) for family in discovery.names() for candidate in discovery.candidates(family)]


@pytest.mark.parametrize(("family", "candidate"), ROWS)
@pytest.mark.parametrize("run", ["full", "smoke"])
def test_every_page_fits(family: str, candidate: str, run: str) -> None:
    cfg = configs.compose([f"family={family}", f"candidate={candidate}", f"run={run}"])
    assert (cfg.family, cfg.candidate, cfg.run) == (family, candidate, run)
    assert 0 < cfg.gate.floor < 1


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["family=digit"], ["family/digit", "digits"]),
        (["family=digits", "candidate=digits-foo"], ["digits-foo", "digits-adam", "digits-sgd"]),
        (["family=digits", "run=foo"], ["run/foo", "smoke", "full"]),
        ([], ["family", "digits"]),
        (["family=digits", "candidate=digits-adam", "fit.epoch=3"], ["fit.epoch", "'epochs'", "learning_rate"]),
        (["family=digits", "candidate=digits-adam", "fit.optimizer=adm"], ["fit.optimizer='adm'", "'sgd'", "'rmsprop'"]),
        (["family=digits", "candidate=digits-adam", "fit.epochs=0"], ["fit.epochs=0", "greater than or equal to 1"]),
        (["family=digits", "candidate=digits-augmented", "fit.augment.rotatio=3"], ["fit.augment.rotatio", "'rotation'"]),
        (["family=objects", "candidate=objects-fast", "model.dropout=0.3"], ["dropout is not known", "widths"]),
        (["family=objects", "candidate=objects-resnet18", "model.network=simple"], ["widths is missing", "hidden is missing"]),
        (["family=digits", "gate.flor=3"], ["gate.flor", "'floor'", "confidence"]),
        (["family=digits", "data.sources=[mnst]"], ["'mnst'", "'mnist'", "'embedded'"]),
        (["family=digits", "data.sources=[]"], ["data.sources", "at least 1"]),
        (
            ["family=signatures", "candidate=signatures-all", "+data.folders.x.typo=1"],
            ["data.folders.x.typo is not a known key", "licence"],
        ),
        (["family=digits", "data=3"], ["data=3", "sources"]),
        (["family=digits", "candidate=digits-adam", "fit=null"], ["fit=None", "optimizer"]),
        (["family=digits", "seed=${nope}"], ["nope"]),
        (["family=digits", "seeed=3"], ["seeed", "'seed'"]),
        (["family=digits", "fit"], ["fit", "EQUAL"]),
    ],
)
def test_a_wrong_page_names_the_choices(overrides: list[str], named: list[str]) -> None:
    with pytest.raises(configs.BadConfiguration) as caught:
        configs.compose(overrides)
    for word in named:
        assert word in str(caught.value)


def test_a_recipe_is_what_training_reads() -> None:
    words = ["family=digits", "candidate=digits-adam"]
    plain = configs.compose(words).recipe()
    assert plain == configs.compose([*words, "gate.floor=0.5"]).recipe()
    assert plain != configs.compose([*words, "fit.epochs=9"]).recipe()
