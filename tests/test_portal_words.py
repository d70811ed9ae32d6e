"""The portal in English and French: every text is marked and translated, the language is the browser's or the chosen one."""

import re
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from babel.messages.catalog import Message
from jinja2 import Environment, nodes

from serving.portal import extract, refusals, rendering, words
from serving.portal.words import LANGUAGES
from tests.forms import encoded, seven
from tests.portals import PAGE, Person

FRENCH = {**PAGE, "Accept-Language": "fr-CH, fr;q=0.9, en;q=0.8"}
OTHERS = sorted(set(LANGUAGES) - {"en"})
PAGES = [path for path in extract.sources() if path.suffix == ".html" and "portal" in path.parts]
SCRIPTS = [path for path in extract.sources() if path.suffix == ".js" and "portal" in path.parts]
SHOWN = ("title", "alt", "aria-label", "placeholder", "data-of")  # attributes that people read
NAMES = {"Atelier", "JSON", "CSV", "ms"}  # the same in all languages
PLACE = re.compile(r"%(?:\(\w+\))?s")
CALLS = ("_", "ngettext")


@pytest.mark.parametrize("name", OTHERS)
def test_every_text_is_translated_and_keeps_its_places(name: str) -> None:
    known = {str(each.id): each for each in words.catalogue(name) if each.id}
    wanted = {str(each.id): each for each in extract.marked() if each.id}
    assert sorted(known) == sorted(wanted), "python -m serving.portal.extract brings the catalogue up to date"
    for text, message in known.items():
        forms = extract.forms(message)
        assert all(forms), f"not translated: {text}"
        assert not message.fuzzy
        one = message.id[0] if message.pluralizable else message.id
        assert all(sorted(PLACE.findall(form)) == sorted(PLACE.findall(one)) for form in forms), text
        assert files(message) == files(wanted[text]), "python -m serving.portal.extract brings the files' names up to date"


def files(message: Message) -> list[str]:
    return sorted({name for name, _ in message.locations})


class Texts(HTMLParser):
    """What a person reads of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)

    def handle_starttag(self, _: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attributes if name in SHOWN and value]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_text_of_a_page_is_unmarked(path: Path) -> None:
    source = re.sub(r"{%.*?%}|{{.*?}}|{#.*?#}|<code>.*?</code>", " ", path.read_text(), flags=re.DOTALL)
    texts = Texts()
    texts.feed(source)
    assert [text.strip() for text in texts.found if set(re.findall(r"[^\W\d_]{2,}", text)) - NAMES] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_text_within_an_expression_is_unmarked(path: Path) -> None:
    tree = Environment(extensions=["jinja2.ext.i18n"], autoescape=True).parse(path.read_text())
    shown = [part for output in tree.find_all(nodes.Output) for part in output.nodes]
    assert [text for part in shown for text in constants(part) if re.search(r"[^\W\d_]{2,}", text)] == []


def constants(node: nodes.Node) -> list[str]:
    """Texts that are put out as they are: not arguments, keys, and what is compared."""
    if isinstance(node, nodes.Const):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, nodes.CondExpr):
        return [text for branch in (node.expr1, node.expr2) if branch for text in constants(branch)]
    if isinstance(node, (nodes.Concat, nodes.Or, nodes.And, nodes.Add)):
        return [text for child in node.iter_child_nodes() for text in constants(child)]
    return []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_sentence_of_a_script_is_unmarked(path: Path) -> None:
    source = re.sub(r"//.*|/\*.*?\*/", "", path.read_text())
    assert re.findall(r"""(?<!\b_\()(["`][A-Z][a-z]+ [^"`]*["`])""", source) == []


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("fr", "fr"),
        ("fr-CH, fr;q=0.9, en;q=0.8", "fr"),
        ("en-GB, fr;q=0.9", "en"),
        ("de, fr;q=0.5, en;q=0.7", "en"),
        ("de, FR-ca;q=0.2", "fr"),
        ("fr;q=0, en;q=0.1", "en"),
        ("fr;q=x", "en"),
        ("*", "en"),
    ],
)
def test_the_browser_says_the_language(header: str, language: str) -> None:
    assert words.accepted(header) == language


def test_a_page_is_in_the_language_of_the_browser_or_the_chosen_one(portal: Person) -> None:
    french = portal.client.get("/sign-in", headers=FRENCH).text
    assert '<html lang="fr">' in french and "Mot de passe" in french
    assert '<html lang="en">' in portal.get("/sign-in").text
    response = portal.post("/language", language="fr", next="/sign-in?made=1")
    assert response.headers["location"] == "/sign-in?made=1"
    assert "Votre compte est créé" in portal.get("/sign-in?made=1").text
    portal.post("/language", language="en", next="/")
    assert '<html lang="en">' in portal.client.get("/", headers=FRENCH).text


@pytest.mark.parametrize("language", ["de", "", "../fr", "<b>"])
def test_a_language_that_is_not_spoken_changes_nothing(portal: Person, language: str) -> None:
    response = portal.post("/language", language=language, next="https://evil.example")
    assert (response.status_code, response.headers["location"]) == (303, "/")
    assert "set-cookie" not in response.headers


def test_an_answer_and_the_history_are_in_french(ada: Person) -> None:
    ada.client.headers["Accept-Language"] = "fr"
    answer = ada.ask(encoded(seven())).text
    assert "envoyée" in answer and "réponse de la version 1" in answer
    assert re.search(r"\d+,\d\d\s%", answer)
    listed = ada.get("/history").text
    assert "1 réponse, la plus récente" in listed and "octets" in listed
    refused = ada.ask(b"no image")
    assert refused.status_code == 415 and "une image que le produit lit" in refused.json()["detail"]


def test_no_line_begins_with_a_sign() -> None:
    assert words.translations("fr").gettext("Still there?") == "Encore là\u202f?"
    assert words.typeset(("un : deux", "trois")) == ["un\u202f: deux", "trois"]


def test_numbers_and_dates_are_those_of_the_language() -> None:
    def shown(language: str) -> list[str]:
        words._LANGUAGE.set(language)
        figures = [rendering.percent(0.9968), rendering.number(1234.5), rendering.size(2_500_000), rendering.when(1_764_500_000.0)]
        words._LANGUAGE.set("en")
        return [re.sub(r"\s", " ", figure) for figure in figures]

    assert shown("en") == ["99.68%", "1,234.5", "2.5 MB", "30 November 2025, 10:53 UTC"]
    assert shown("fr") == ["99,68 %", "1 234,5", "2,5 Mo", "30 novembre 2025, 10:53 UTC"]


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500])
@pytest.mark.parametrize("language", LANGUAGES)
def test_an_error_is_a_page_that_says_what_to_do(portal: Person, status: int, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refusing(*_: object) -> None:
        if status == 500:
            raise ZeroDivisionError
        raise refusals.Refusal(status, "tried", "It is tried.", headers={"Retry-After": "7"})

    monkeypatch.setattr(rendering, "inside", lambda path: path)
    monkeypatch.setattr("serving.portal.services.Services.versions", refusing)
    portal.client._transport.raise_server_exceptions = False  # type: ignore[attr-defined]
    response = portal.client.get("/", headers={**PAGE, "Accept-Language": language})
    assert response.status_code == status
    words._LANGUAGE.set(language)
    title, remedy = refusals.meaning(status)
    words._LANGUAGE.set("en")
    page = response.text.replace("&#39;", "'")
    assert f"<h1>{title}</h1>" in page and remedy in page
    assert (response.headers.get("retry-after") == "7") == (status != 500)
    assert ("ZeroDivisionError" in page) is False


def test_a_page_that_is_not_there_says_so_in_french(ada: Person) -> None:
    response: httpx.Response = ada.client.get("/nothing", headers=FRENCH)
    assert response.status_code == 404
    assert "existe pas ici" in response.text and "Vérifiez l" in response.text
