"""The portal's words in the languages that it speaks: Babel catalogues, read at the start, and the language of each request."""

import re
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from babel import Locale
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

LANGUAGES = {"en": "English", "fr": "Français"}  # the words in the sources are English
COOKIE = "atelier_language"
FOLDER = Path(__file__).parent / "locale"
SIGN, NARROW = re.compile(r" (?=[?!;:])"), "\u202f"  # a blank before a sign, and the one that no line breaks at
_LANGUAGE: ContextVar[str] = ContextVar("language", default="en")


class Language:
    """An application whose requests are answered in the language that the person has chosen, or else that the browser prefers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        chosen = request.cookies.get(COOKIE)
        _LANGUAGE.set(chosen if chosen in LANGUAGES else accepted(request.headers.get("accept-language", "")))
        await self.app(scope, receive, send)


def accepted(header: str) -> str:
    """The language of LANGUAGES that an Accept-Language header prefers: fr-CH, en;q=0.8 -> fr"""
    best, found = 0.0, "en"
    for entry in header.split(","):
        tag, _, more = entry.partition(";")
        language, quality = tag.strip().lower().partition("-")[0], _quality(more)
        if language in LANGUAGES and quality > best:
            best, found = quality, language
    return found


def _quality(parameter: str) -> float:
    name, _, word = parameter.strip().partition("=")
    try:
        return float(word) if name == "q" else 1.0
    except ValueError:
        return 0.0


def language() -> str:
    """The language of the request that is answered now."""
    return _LANGUAGE.get()


def locale() -> Locale:
    """The same, with what Babel knows of its numbers and dates."""
    return _locale(language())


@cache
def _locale(name: str) -> Locale:
    return Locale(name)


def N_(text: str) -> str:
    """Mark a text for the catalogue; `_` translates it where it is shown."""
    return text


def _(text: str, **values: Any) -> str:
    """A text in the language of this request, its %(name)s replaced."""
    translated = translations(language()).gettext(text) if text else ""
    return translated % values if values else translated


def ngettext(one: str, many: str, num: int) -> str:
    """The form of a text for a number, its %(num)s replaced."""
    return translations(language()).ngettext(one, many, num) % {"num": num}


@cache
def translations(name: str) -> NullTranslations:
    """The translations into a language; of English none are needed."""
    if name == "en":
        return NullTranslations()
    found = read(name)
    for message in found:
        message.string = typeset(message.string)
    write_mo(stream := BytesIO(), found)
    stream.seek(0)
    return Translations(stream)


def read(name: str) -> Catalog:
    """The catalogue of a language, as it is in git."""
    with (FOLDER / f"{name}.po").open("rb") as file:
        return read_po(file, name, abort_invalid=True)


catalogue = cache(read)


def typeset(string: Any) -> Any:
    """A translation, or its plural forms, whose signs do not stand at the beginning of a line: French has a blank before them."""
    return SIGN.sub(NARROW, string) if isinstance(string, str) else [SIGN.sub(NARROW, form) for form in string]


@cache
def of_scripts(name: str) -> Mapping[str, str]:
    """{text: translation} of what scripts say."""
    if name == "en":
        return {}
    scripts = (each for each in catalogue(name) if any(place.endswith(".js") for place, _ in each.locations))
    return {str(each.id): typeset(each.string) for each in scripts if each.id}
