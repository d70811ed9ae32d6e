"""Catalogues in SQL, on SQLite and on a real PostgreSQL: brought by several workers at once, and each asked by itself."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import event, inspect

from pipelines import databases, folders
from pipelines.families.gravures.parts import lenses
from serving.gravures import catalogue
from serving.gravures.catalogue import RETAINED, BadSearch, Catalogue, Catalogues, NotStored, Unknown
from serving.gravures.contents import BadCatalogue, refractive
from serving.gravures.contents import normal as normalised
from serving.gravures.tables import Base
from tests.conftest import ROOT

BRING = """
import json, sys
from pathlib import Path
from serving.gravures.catalogue import Catalogues
print(Catalogues(sys.argv[1]).store("a" * 64, json.loads(Path(sys.argv[2]).read_text())))
"""


def marks(shapes: str = "", letters: str = "") -> dict[str, Any]:
    return {"shapes": shapes.split(), "letters": letters.split()}


def picture(name: str, shows: str | None, shapes: str = "", letters: str = "") -> dict[str, Any]:
    return {"picture": name, "class": shows, **marks(shapes, letters)}


def lens(verre_id: int, name: str, index_code: str, picture: str | None) -> dict[str, Any]:
    return {"verre_id": verre_id, "name": name, "index_code": index_code, "picture": picture}


SMALL = {
    "pictures": [
        picture("a.png", "vcercle", "circle", "V EF-"),
        picture("b.png", "vcercle", "circle", "V π"),
        picture("c.png", None, "heart line", "π \u2112"),
        picture("d.png", None, "star", "Π12 v"),
    ],
    "lenses": [
        lens(7, "oeasy", "15", "a.png"),
        lens(3, "oeasy", "167", "b.png"),
        lens(20, "étoile", "1591", "c.png"),
        lens(21, "plain", "16", None),
        lens(12, "other", "174", "a.png"),
    ],
    "classes": {"vcercle": marks("circle", "V"), "pi": marks("", "π"), "wifi": marks("wifi")},
}
WHOLE = {7: 1.5, 3: 1.67, 20: 1.591, 21: 1.6, 12: 1.74}


def large() -> dict[str, Any]:
    """The catalogue's real tags, two lenses for each picture."""
    read = lenses.tags()
    pictures = [
        {"picture": name, "class": own.engraving, "shapes": [*own.shapes], "letters": [*own.letters]}
        for (name, sha256), own in read.items()
        if sha256
    ]
    return {
        "pictures": pictures,
        "lenses": [lens(1000 + 2 * n + i, it["picture"], "15", it["picture"]) for n, it in enumerate(pictures) for i in range(2)],
        "classes": {name: {"shapes": [*own.shapes], "letters": [*own.letters]} for (name, sha256), own in read.items() if not sha256},
    }


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/catalogue.db" if request.param == "sqlite" else str(request.getfixturevalue("postgres"))


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def known(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """The small catalogue, for tests that only ask."""
    if request.param == "sqlite":
        return stored(f"sqlite:///{tmp_path_factory.mktemp('known')}/catalogue.db")
    return stored(request.getfixturevalue("cluster").database())


def stored(url: str, content: dict[str, Any] = SMALL) -> Catalogue:
    held, sha256 = Catalogues(url), folders.hash_of(content)
    held.store(sha256, content)
    return held.of(sha256)


def ids(found: list[dict[str, Any]]) -> list[int]:
    return [lens["verre_id"] for lens in found]


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    own = copy.deepcopy(SMALL)
    change(own)
    return own


def test_tables_and_migrations_agree(url: str) -> None:
    made = databases.migrated(url, catalogue.MIGRATIONS)
    with databases.reading(made) as connection:
        words = {"version_table": "catalogue_version", "compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=words), Base.metadata) == []


def test_migrations_go_back_to_nothing_and_forth(url: str) -> None:
    stored(url)
    with databases.writing(made := databases.engine(url)) as connection:
        words = Config(attributes={"connection": connection, "version_table": "catalogue_version"})
        words.set_main_option("script_location", str(databases.HERE / "migrations"))
        words.set_main_option("version_locations", str(catalogue.MIGRATIONS))
        words.set_main_option("path_separator", "newline")
        command.downgrade(words, "base")
    assert inspect(made).get_table_names() == ["catalogue_version"]
    assert stored(url).lens(7)["name"] == "oeasy"


def test_a_lens_is_told_with_what_is_on_its_engraving(known: Catalogue) -> None:
    assert known.lens(7) == {
        "verre_id": 7,
        "name": "oeasy",
        "index_code": "15",
        "index": 1.5,
        "maker": None,
        "material": None,
        "engraving": {"picture": "a.png", "class": "vcercle"},
        "tags": ["circle", "V", "EF-"],
    }
    assert known.lens(20)["engraving"] == {"picture": "c.png", "class": None}
    assert known.lens(20)["tags"] == ["heart", "line", "π", "\u2112"]
    assert {verre_id: known.lens(verre_id)["index"] for verre_id in WHOLE} == WHOLE


def test_a_lens_without_picture_has_no_engraving_and_no_tags(known: Catalogue) -> None:
    assert (known.lens(21)["engraving"], known.lens(21)["tags"]) == (None, [])


def test_maker_and_material_are_told_where_a_source_has_them(url: str) -> None:
    own = stored(url, changed(lambda it: it["lenses"][0].update(maker="Essilor", material="CR-39")))
    assert (own.lens(7)["maker"], own.lens(7)["material"], own.lens(3)["maker"]) == ("Essilor", "CR-39", None)


@pytest.mark.parametrize(
    ("verre_id", "nearest"),
    [
        (8, [7, 12, 3, 20, 21]),
        (16, [12, 20, 21, 7, 3]),
        (1, [3, 7, 12, 20, 21]),
        (-5, [3, 7, 12, 20, 21]),
        (10**30, [21, 20, 12, 7, 3]),
        (2**31, [21, 20, 12, 7, 3]),
    ],
)
def test_an_unknown_lens_is_answered_with_the_nearest_ids(known: Catalogue, verre_id: int, nearest: list[int]) -> None:
    with pytest.raises(Unknown, match=f"no lens {str(verre_id)[:20]}.*nearest are {nearest[0]}") as caught:
        known.lens(verre_id)
    assert caught.value.nearest == nearest


def test_a_catalogue_that_is_empty_says_so(url: str) -> None:
    own = stored(url, {"pictures": [], "lenses": [], "classes": {}})
    with pytest.raises(Unknown, match="The catalogue is empty"):
        own.lens(1)
    assert own.lenses_with("vcercle") == own.tags() == []
    assert own.search(["circle"]) == {"items": [], "page": 1, "pages": 0, "total": 0, "unknown": {"circle": []}}


@pytest.mark.parametrize(
    ("engraving", "found"),
    [
        ("vcercle", [3, 7, 12]),
        ("a.png", [7, 12]),
        ("c.png", [20]),
        ("d.png", []),
        ("pi", [3, 20]),
        ("wifi", []),
        ("added yesterday", []),
        ("a\0b", []),
        ("\ud800", []),
        ("' OR 1=1 --", []),
    ],
)
def test_the_lenses_that_bear_an_engraving(known: Catalogue, engraving: str, found: list[int]) -> None:
    assert ids(known.lenses_with(engraving)) == found
    assert known.lenses_with(engraving) == [known.lens(verre_id) for verre_id in found]


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        (["circle"], [3, 7, 12]),
        (["circle", "V", "EF-"], [7, 12]),
        (["circle, ef-"], [7, 12]),
        ([" Circlé ", "v", "V"], [3, 7, 12]),
        (["CIRCLE π"], [3]),
        (["pi"], [3, 20]),
        (["PI", "line"], [20]),
        (["l"], [20]),
        (["cir\0cle"], [3, 7, 12]),
        (["heart", "circle"], []),
        (["pi12"], []),
    ],
)
def test_lenses_that_carry_all_tags(known: Catalogue, tags: list[str], found: list[int]) -> None:
    answer = known.search(tags)
    assert ids(answer["items"]) == found
    assert (answer["total"], answer["pages"], answer["unknown"]) == (len(found), bool(found), {})
    assert answer["items"] == [known.lens(verre_id) for verre_id in found]


@pytest.mark.parametrize(
    ("tags", "unknown"),
    [
        (["cercle", "V"], {"cercle": ["circle"]}),
        (["Hearts", "lime"], {"Hearts": ["heart"], "lime": ["line"]}),
        (["'; DROP TABLE lenses; --"], {"';": [], "DROP": [], "TABLE": [], "lenses;": ["line"], "--": []}),
        (['"%_\\'], {'"%_\\': []}),
        (["circle' OR '1'='1"], {"circle'": ["circle"], "OR": [], "'1'='1": []}),
        (["\udfff", "x"], {"x": []}),
    ],
)
def test_unknown_tags_are_answered_with_known_ones_like_them(known: Catalogue, tags: list[str], unknown: dict[str, list[str]]) -> None:
    assert known.search(tags) == {"items": [], "page": 1, "pages": 0, "total": 0, "unknown": unknown}
    assert ids(known.search(["circle"])["items"]) == [3, 7, 12]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"tags": []}, "No tag is given.*such as circle"),
        ({"tags": [" ", ",", "\u0301"]}, "No tag is given"),
        ({"tags": ["x" * 31]}, "has 31 characters; 30 are allowed"),
        ({"tags": ["\0" * 40 + "x"]}, "has 41 characters"),
        ({"tags": [str(n) for n in range(11)]}, "11 tags are given; 10 are allowed"),
        ({"tags": ["circle"], "page": 0}, "no page 0 of 20 lenses.*hold 1 to 100"),
        ({"tags": ["circle"], "size": 0}, "no page 1 of 0 lenses"),
        ({"tags": ["circle"], "size": 101}, "no page 1 of 101 lenses"),
    ],
)
def test_searches_that_are_refused(known: Catalogue, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(BadSearch, match=words):
        known.search(**asked)


def test_pages_hold_every_lens_once_in_the_order_of_ids(url: str) -> None:
    own = stored(url, whole := large())
    shown = {it["picture"] for it in whole["pictures"] if "circle" in it["shapes"]}
    wanted = [lens["verre_id"] for lens in whole["lenses"] if lens["picture"] in shown]
    first = own.search(["circle"], size=7)
    pages = [own.search(["circle"], page, 7) for page in range(1, first["pages"] + 1)]
    assert [verre_id for page in pages for verre_id in ids(page["items"])] == wanted
    assert {page["total"] for page in pages} == {len(wanted)}
    assert [page["page"] for page in pages] == list(range(1, -(-len(wanted) // 7) + 1))
    assert own.search(["circle"], 10**30, 7) == {**first, "items": [], "page": 10**30}


def test_tags_are_counted_by_lenses_the_most_frequent_first(known: Catalogue) -> None:
    found = known.tags()
    assert found[:4] == [
        {"tag": "circle", "count": 3},
        {"tag": "V", "count": 3},
        {"tag": "EF-", "count": 2},
        {"tag": "π", "count": 2},
    ]
    assert "star" not in {row["tag"] for row in found}  # no lens bears it
    for row in found:
        assert known.search([row["tag"]])["total"] == row["count"]


def test_every_real_tag_is_found_as_it_is_written(url: str) -> None:
    own = stored(url, large())
    assert len(own.tags()) > 150
    for row in own.tags():
        assert own.search([row["tag"]], size=1)["total"] == row["count"]


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("EF-", "ef-"),
        ("Étoile", "etoile"),
        ("π", "pi"),
        ("Π12", "pi12"),
        ("Ω", "omega"),
        ("\u2126", "omega"),
        ("ς", "sigma"),
        ("ψ\u0301", "psi"),
        ("\u2112", "l"),
        ("\uff11\uff16", "16"),
        ("+", "+"),
        ("ẞ", "ss"),
        ("\0\ud800", ""),
    ],
)
def test_tags_have_one_form(written: str, normal: str) -> None:
    assert normalised(written) == normal == normalised(normal)


@pytest.mark.parametrize(
    ("code", "index"), {"1": 1.0, "15": 1.5, "153": 1.53, "1591": 1.591, "1604": 1.604, "167": 1.67, "174": 1.74}.items()
)
def test_an_index_code_is_a_number(code: str, index: float) -> None:
    assert refractive(code) == index


def test_the_same_catalogue_is_brought_once(url: str) -> None:
    assert Catalogues(url).store("a" * 64, SMALL)
    assert not Catalogues(url).store("a" * 64, SMALL)


def test_catalogues_stand_side_by_side_and_each_is_asked_by_itself(url: str) -> None:
    first = stored(url)
    other = {"pictures": [picture("a.png", "wifi", "wifi")], "lenses": [lens(7, "new", "16", "a.png")], "classes": {"wifi": marks("wifi")}}
    second = stored(url, other)
    assert (first.lens(7)["name"], second.lens(7)["name"]) == ("oeasy", "new")
    assert (ids(first.lenses_with("vcercle")), second.lenses_with("vcercle")) == ([3, 7, 12], [])
    assert (first.lenses_with("wifi"), ids(second.lenses_with("wifi"))) == ([], [7])
    assert (first.search(["circle"])["total"], second.search(["circle"])["unknown"]) == (3, {"circle": []})
    assert second.tags() == [{"tag": "wifi", "count": 1}]
    assert first.lens(12)["name"] == "other"
    with pytest.raises(Unknown, match="The nearest are 7"):
        second.lens(12)


def test_of_older_catalogues_those_that_were_brought_last_are_kept(url: str) -> None:
    held = Catalogues(url)
    names = [str(number) * 64 for number in range(RETAINED + 1)]
    for name in names[:-1]:
        assert held.store(name, SMALL)
    assert not held.store(names[0], SMALL)  # served again: it is not the oldest any more
    assert held.store(names[-1], SMALL)
    for name in {*names} - {names[1]}:
        assert ids(held.of(name).lenses_with("vcercle")) == [3, 7, 12]
    with pytest.raises(NotStored, match="The catalogue 111111111111 is not in the database"):
        held.of(names[1]).tags()


def test_a_catalogue_that_fails_half_way_is_not_held_at_all(url: str) -> None:
    held, known = Catalogues(url), stored(url)

    @event.listens_for(held._engine, "before_cursor_execute")
    def fail(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO lenses"):
            raise RuntimeError("the power is gone")

    with pytest.raises(RuntimeError, match="the power is gone"):
        held.store("a" * 64, large())
    event.remove(held._engine, "before_cursor_execute", fail)
    assert ids(known.lenses_with("vcercle")) == [3, 7, 12]
    with pytest.raises(NotStored):
        held.of("a" * 64).lens(7)
    assert held.store("a" * 64, large())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda it: it.pop("lenses"), "catalogue.json lenses: Field required"),
        (lambda it: it["lenses"][1].update(verre_id="3"), "catalogue.json lenses 1 verre_id: Input should be a valid integer"),
        (lambda it: it["lenses"][1].update(verre_id=2**31), "lenses 1 verre_id: .*less than or equal"),
        (lambda it: it["lenses"][1].update(index_code="1.5"), "lenses 1 index_code: .*match"),
        (lambda it: it["lenses"][1].update(picture="z.png"), "lens 3 bears 'z.png', which is not among its pictures"),
        (lambda it: it["lenses"][1].update(verre_id=7), "the lens 7 2 times"),
        (lambda it: it["pictures"][1].update(picture="a.png"), "the picture 'a.png' 2 times"),
        (lambda it: it["classes"].update(pi=["π"]), "classes pi: "),
    ],
)
def test_a_catalogue_that_says_nonsense_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], Any], words: str) -> None:
    with pytest.raises(BadCatalogue, match=f"{words}.*Ingest and train again"):
        stored(f"sqlite:///{tmp_path}/catalogue.db", changed(change))


@pytest.mark.slow
def test_workers_that_start_at_once_bring_it_once(url: str, tmp_path: Path) -> None:
    (tmp_path / "catalogue.json").write_text(json.dumps(large()))
    words = [sys.executable, "-c", BRING, url, str(tmp_path / "catalogue.json")]
    started = [subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    said = [process.communicate() for process in started]
    assert [error for _, error in said] == [b""] * 3
    assert sorted(out.strip() for out, _ in said) == [b"False", b"False", b"True"]
    assert Catalogues(url).of("a" * 64).lens(1000)["engraving"] == {"picture": "gravure_0000.png", "class": "cercle"}


def test_threads_see_all_of_their_catalogue_or_nothing_while_others_are_brought(url: str) -> None:
    def told(word: str) -> dict[str, Any]:
        many = [lens(number, word, "15", "a.png") for number in range(50)]
        return {"pictures": [picture("a.png", "wifi", "wifi", word)], "lenses": many, "classes": {"wifi": marks("wifi")}}

    own = stored(url, told("own"))

    def read(_: int) -> bool:
        try:
            answers = [own.lenses_with("wifi"), own.search(["wifi"], size=100)["items"], own.search(["own"], size=100)["items"]]
        except NotStored:
            return False
        assert all(len(answer) == 50 and {it["name"] for it in answer} == {"own"} for answer in answers)
        return True

    with ThreadPoolExecutor(4) as threads:
        reading = threads.map(read, range(40))
        bringing = [threads.submit(stored, url, told(f"other{turn}")) for turn in range(2 * RETAINED)]
        assert all(isinstance(one, bool) for one in reading)
        assert {one.result().lens(0)["name"] for one in bringing[-1:]} == {f"other{2 * RETAINED - 1}"}
    assert not read(0)


def test_where_the_catalogue_is_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CATALOGUE_URL", raising=False)
    assert catalogue.url() == "sqlite:///.store/catalogue.db"
    monkeypatch.setenv("CATALOGUE_URL", "postgresql://host/lenses")
    assert catalogue.url() == "postgresql://host/lenses"
