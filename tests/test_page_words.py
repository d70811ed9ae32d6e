"""What the pages of all families say alike: shares in percent, metrics and certainty in words, and images that are there."""

from typing import Any

import html5lib
import pytest

from pipelines import discovery, folders, phrases
from pipelines.ledger import lines as ledger
from tests.conftest import ROOT
from tests.pages import got


def pointer(family: str) -> dict[str, Any]:
    """What the released champion's page is made of."""
    line = ledger.champion(ledger.read(family))
    assert line
    model = {name: line[name] for name in ("family", "version", "digest", "data", "commit")} | {"run_id": "run-1"}
    card = folders.read_json(ROOT / "released" / family / "card.json")
    return {"tag": f"{family}:v1-aaaaaaaaaaaa", "model": model, "promotion": line, "decision": line, "card": card, "released": False}


@pytest.fixture(params=discovery.names())
def page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.chdir(ROOT)
    return request.param, got(request.param, pointer(request.param)).text


def test_every_image_has_a_source(page: tuple[str, str]) -> None:
    tree = html5lib.parse(page[1], namespaceHTMLElements=False)
    assert [image for image in tree.iter("img") if not image.get("src")] == []
    assert "<img " not in page[1] or 'src="' in page[1]


def test_shares_are_in_percent_and_metrics_in_words(page: tuple[str, str]) -> None:
    family, text = page
    test = pointer(family)["promotion"]["figures"]["test"]
    for name, figure in phrases.figures(test).items():
        assert f'<th scope="row">{phrases.metric_name(name)}</th>' in text
        assert f"<td>{phrases.figure(name, figure.value)}" in text
        assert "_" not in phrases.metric_name(name)
    headline = next(iter(phrases.figures(test)))
    assert f"{headline} {test[headline]:.4f}" not in text
    assert "\u00a0%" not in text and "&nbsp;%" not in text


def test_the_classes_of_objects_are_beside_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert (
        "It knows 10 classes: airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck."
        in got("objects", pointer("objects")).text
    )


def test_signatures_tells_its_page_how_many_signed_pages_it_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = pointer("signatures")
    assert f'data-recall="{found["promotion"]["figures"]["test"]["signed_recall"]}"' in got("signatures", found).text


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("accuracy 0.9951 on validation, at least 0.9800 is asked", "accuracy 99.51% on validation, at least 98.00% is asked"),
        (
            "gains +0.0267 on the champion (95 % interval -0.0115 to +0.0458)",
            "gains +2.67% on the champion (95 % interval -1.15% to +4.58%)",
        ),
        ("0.41 MB are served, 0.06 ms an answer", "0.41 MB are served, 0.06 ms an answer"),
        ("the best of 10.99512", "the best of 10.99512"),
        ("map50 0.8547 on validation", "mAP at IoU 0.5 85.47% on validation"),
    ],
)
def test_the_gates_fractions_are_shown_in_percent(words: str, shown: str) -> None:
    assert phrases.in_percent(words) == shown


def test_certainty_is_in_words_with_the_number() -> None:
    assert [phrases.certainty(share) for share in (0.9999, 0.9, 0.62)] == ["sure (99.99%)", "sure (90.00%)", "check this one (62.00%)"]
