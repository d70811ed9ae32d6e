"""`python -m serving.portal.extract`: brings the catalogues up to date with the marked texts, and lists what is not translated yet."""

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.pofile import write_po

from serving.portal import words

HERE = Path(__file__).parent
FOLDERS = (HERE, HERE.with_name("page"))
METHODS = {".py": "python", ".html": "jinja2.ext:babel_extract", ".js": "javascript"}
KEYWORDS = {"_": None, "N_": None, "ngettext": (1, 2)}
OPTIONS = {"encoding": "utf-8", "trimmed": "true", "silent": "false", "extensions": "jinja2.ext.i18n"}
BEGUN = datetime(2026, 11, 30, tzinfo=UTC)  # a date that stays, so that two branches do not differ in it


def marked() -> Catalog:
    """All marked texts, and in which files they are."""
    found = Catalog()
    for path in sources():
        with path.open("rb") as file:
            for _, text, _, _ in extract(METHODS[path.suffix], file, KEYWORDS, (), OPTIONS):
                found.add(text, locations=[(f"{path.parent.name}/{path.name}", 1)])
    return found


def sources() -> Iterator[Path]:
    """The files that may have marked texts."""
    return (path for folder in FOLDERS for path in sorted(folder.glob("*")) if path.suffix in METHODS and path != HERE / "words.py")


def main() -> None:
    """Renew every catalogue. Exits with 1 where something is not translated."""
    missing = [f"{name}: {text}" for name in words.LANGUAGES if name != "en" for text in renew(name)]
    if missing:
        sys.exit("\n".join(["Not translated yet, in serving/portal/locale/:", *missing]))


def renew(name: str) -> list[str]:
    """Add new texts to a catalogue, remove those that are gone; the texts without a translation."""
    path = words.FOLDER / f"{name}.po"
    known = words.catalogue(name) if path.exists() else Catalog(name)
    known.update(marked(), no_fuzzy_matching=True)
    known.project, known.version, known.msgid_bugs_address = "Atelier", "portal", ""
    known.creation_date = known.revision_date = BEGUN
    with path.open("wb") as file:
        write_po(file, known, width=120, sort_output=True, ignore_obsolete=True, include_lineno=False)
    return [str(each.id) for each in known if each.id and not all(forms(each))]


def forms(message: Message) -> Sequence[str]:
    """The translations of a text: one, or one for each plural form."""
    return message.string if isinstance(message.string, (list, tuple)) else [message.string or ""]


if __name__ == "__main__":
    main()
