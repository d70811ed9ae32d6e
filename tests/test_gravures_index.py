"""The index of engravings and what is added to it: each engraving once, never of another model, never half of a file."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from threadpoolctl import threadpool_limits

from pipelines import discovery, folders
from pipelines.families.gravures import examples
from pipelines.families.gravures.parts import additions, index
from pipelines.families.gravures.parts.index import Entry, Match, Space
from pipelines.families.gravures.predict import Predictor
from pipelines.metrics import neighbours
from pipelines.models import manifests
from pipelines.registry import store
from serving.gravures import adding
from serving.inputs import pictures
from tests import engravers
from tests.conftest import embedded_data, environment, tiny_model
from tests.forms import encoded

CANDIDATE = discovery.candidates("gravures")[0]
Vectors = NDArray[np.float32]
Picture = NDArray[np.uint8]


def unit(random: np.random.Generator, *shape: int) -> Vectors:
    values = random.normal(size=shape)
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


def star(shift: int = 0) -> Picture:
    """A brought picture that no tiny model knows, moved to the right."""
    drawn = engravers.drawing("triangle", np.random.default_rng(3))[::-1]
    return np.roll(examples.CONVENTION.from_grey(drawn), shift, axis=1)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model(tmp_path_factory.mktemp("tiny") / "model", seed=1)


@pytest.fixture
def folder(tiny: Path, tmp_path: Path) -> Path:
    """A tiny model's files, with as much of a manifest as an index asks for."""
    return shutil.copytree(tiny, tmp_path / "model")


def model(out: Path, seed: int) -> Path:
    described = engravers.network(out, seed)
    files = {name: {"role": role, "sha256": folders.sha256(out / name)} for name, role in described.served.items()}
    folders.write_json(out / "manifest.json", {"files": files})
    return out


def read(folder: Path) -> tuple[list[Entry], Vectors]:
    return index.read(folder, json.loads((folder / "manifest.json").read_text()))


def test_an_index_is_read_as_it_was_written(folder: Path) -> None:
    random = np.random.default_rng(0)
    entries = [
        Entry("é (1)", "drawn", None),
        Entry("é (1)", "official", "official/é (1).png"),
        Entry("g.png", "catalogue", "catalogue/g.png"),
    ]
    vectors = unit(random, 3, 256)
    index.write(folder, entries, vectors, folders.sha256(folder / "model.onnx"))
    found, read_vectors = read(folder)
    assert found == entries
    np.testing.assert_array_equal(read_vectors, vectors)


def test_embeddings_of_another_model_are_refused_with_the_remedy(folder: Path, tmp_path: Path) -> None:
    other = model(tmp_path / "other", seed=2)
    for name in ("index.npy", "index.json"):
        shutil.copy(other / name, folder / name)
    with pytest.raises(index.OtherModel, match=r"made by the encoder \w{12}, and this model is \w{12}.*make train family=gravures"):
        read(folder)


def test_a_model_with_the_index_of_another_does_not_load(project: Path) -> None:
    embedded_data("gravures")
    ours, theirs = tiny_model(CANDIDATE, 1), model(project / "other", seed=2)
    manifest = manifests.read(ours)
    for name in ("index.npy", "index.json"):
        shutil.copy(theirs / name, ours / name)
        manifest["files"][name]["sha256"] = folders.sha256(ours / name)
    folders.write_json(ours / manifests.MANIFEST, {**manifest, "digest": manifests.digest(manifest)})
    with pytest.raises(index.OtherModel):
        Predictor(ours)


def vectors_of_another(folder: Path) -> None:
    np.save(folder / "index.npy", unit(np.random.default_rng(0), 24, 256))


def cut(folder: Path) -> None:
    content = (folder / "index.npy").read_bytes()
    (folder / "index.npy").write_bytes(content[: len(content) // 2])


def missing(folder: Path) -> None:
    (folder / "index.npy").unlink()


def changed(folder: Path, **keys: Any) -> None:
    header = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps({**header, **keys}))


def resaved(folder: Path, values: Any) -> None:
    """Another array under the header's own hash."""
    np.save(folder / "index.npy", values, allow_pickle=True)
    changed(folder, vectors=folders.sha256(folder / "index.npy"))


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "other-vectors": (vectors_of_another, "index.npy is no valid index: it is missing or altered"),
    "cut": (cut, "index.npy is no valid index: it is missing or altered"),
    "missing": (missing, "index.npy is no valid index: it is missing or altered"),
    "no-json": (lambda folder: (folder / "index.json").write_text("{"), "index.json is no valid index"),
    "a-list": (lambda folder: (folder / "index.json").write_text("[1]"), "index.json is no valid index"),
    "a-number": (lambda folder: (folder / "index.json").write_text("1"), "index.json is no valid index"),
    "not-text": (lambda folder: (folder / "index.json").write_bytes(b"\xff\xfe"), "index.json is no valid index"),
    "no-header": (lambda folder: (folder / "index.json").unlink(), "index.json is no valid index"),
    "another-format": (lambda folder: changed(folder, format=2), "index.json is no valid index: it has not the keys of an index"),
    "an-entry-too-few": (lambda folder: changed(folder, entries=[["bar", "drawn", None]] * 23), "23 entries need float32 rows of as many"),
    "a-kind-too-many": (lambda folder: changed(folder, entries=[["bar", "dreamt", None]] * 24), "kind 'dreamt' is none of drawn, official"),
    "half-an-entry": (lambda folder: changed(folder, entries=[["bar"]] * 24), "an entry is not engraving, kind, picture"),
    "entries-that-are-numbers": (lambda folder: changed(folder, entries=[1] * 24), "an entry is not engraving, kind, picture"),
    "entries-of-numbers": (lambda folder: changed(folder, entries=[[1, "drawn", None]] * 24), "an entry is not engraving, kind, picture"),
    "pickled": (lambda folder: resaved(folder, np.array([{}] * 24)), "index.npy is no valid index: Object arrays cannot be loaded"),
    "no-length": (lambda folder: resaved(folder, np.zeros((24, 256), np.float32)), "a vector's length is not 1"),
    "no-number": (lambda folder: resaved(folder, np.full((24, 256), np.nan, np.float32)), "a vector's length is not 1"),
    "doubles": (lambda folder: resaved(folder, np.eye(24, 256)), r"not float64 \[24, 256\]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_refused_with_its_file_and_the_remedy(folder: Path, damage: str) -> None:
    done, words = DAMAGES[damage]
    done(folder)
    with pytest.raises(index.BrokenIndex, match=f"{words}.*make train family=gravures"):
        read(folder)


@pytest.mark.parametrize("values", [np.eye(2, 256), np.eye(3, 256, dtype=np.float32), np.zeros((2, 256), np.float32)])
def test_what_is_no_index_is_not_written(tmp_path: Path, values: Any) -> None:
    with pytest.raises(index.BrokenIndex):
        index.write(tmp_path, [Entry("bar", "drawn", None)] * 2, values, "sha")
    assert not list(tmp_path.iterdir())


def test_an_engraving_is_found_once_by_its_most_similar_member() -> None:
    turns = np.deg2rad([10, 50, 30, 90, 5])
    entries = [Entry("bar", "drawn", None), Entry("bar", "official", "official/bar.png"), Entry("g.png", "catalogue", "catalogue/g.png")]
    space = Space(
        [*entries, Entry("star", "added", None), Entry("bar", "catalogue", None)], np.stack([np.cos(turns), np.sin(turns)], 1).astype("f4")
    )
    assert len(space) == 4  # a class and a picture may share a name
    assert [(*match[:2], round(match.similarity, 2), match.picture) for match in space.nearest(np.array([1, 0], np.float32), 10)] == [
        ("bar", "catalogue", 1.0, None),
        ("bar", "class", 0.98, None),
        ("g.png", "catalogue", 0.87, "catalogue/g.png"),
        ("star", "added", 0.0, None),
    ]
    assert [match.picture for match in space.nearest(np.array([np.cos(0.9), np.sin(0.9)], np.float32), 1)] == ["official/bar.png"]


@pytest.mark.parametrize("limit", [0, neighbours.EXACT], ids=["faiss", "numpy"])
@given(seed=st.integers(0, 10**6), k=st.integers(0, 60))
@settings(max_examples=25, deadline=None)
def test_the_nearest_engravings_are_those_that_a_person_would_count(limit: int, seed: int, k: int) -> None:
    random = np.random.default_rng(seed)
    entries = [
        Entry(f"e{name}", kind, None) for name, kind in zip(random.integers(0, 9, 80), random.choice(list(index.KINDS), 80), strict=True)
    ]
    vectors, query = unit(random, 80, 16), unit(random, 16)
    best: dict[tuple[str, str], float] = {}
    for entry, similarity in zip(entries, vectors @ query, strict=True):
        name = (entry.engraving, index.KINDS[entry.kind])
        best[name] = max(best.get(name, -1), float(similarity))
    with pytest.MonkeyPatch.context() as patch, threadpool_limits(1):
        patch.setattr(neighbours, "EXACT", limit)
        patch.setattr(neighbours, "PROBED", 10**6)
        space = Space(entries, vectors)
    found = space.nearest(query, k)
    assert len(space) == len(best)
    assert len({match[:2] for match in found}) == len(found) == min(k, len(best))
    slack = 1e-6 if limit else 0.03
    assert [match.similarity for match in found] == pytest.approx(sorted(best.values(), reverse=True)[:k], abs=slack)
    assert all(match.similarity == pytest.approx(best[match[:2]], abs=slack) for match in found)


def test_an_empty_space_finds_nothing() -> None:
    assert (len(Space([], np.empty((0, 4), np.float32))), Space([], np.empty((0, 4), np.float32)).nearest(np.ones(4, np.float32), 5)) == (
        0,
        [],
    )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project without a model: additions need none."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_pictures_are_kept_as_they_are_in_their_order(here: Path) -> None:
    assert additions.read().names == [] and additions.read().pictures.shape == (0, 64, 64)
    for turn, name in enumerate(["star", "étoile 2", "Ω (left)"]):
        assert additions.add(name, star(turn)) == name
    names, pictures = additions.read()
    assert names == ["star", "étoile 2", "Ω (left)"]
    np.testing.assert_array_equal(pictures, np.stack([star(turn) for turn in range(3)]))
    additions.remove("étoile 2")
    np.testing.assert_array_equal(additions.read().pictures, np.stack([star(0), star(2)]))
    assert additions.read().names == ["star", "Ω (left)"]


def test_a_name_is_kept_in_its_composed_form(here: Path) -> None:
    assert additions.add(" e\u0301toile ", star()) == "\u00e9toile"
    additions.remove("e\u0301toile")
    assert additions.read().names == []


@pytest.mark.parametrize(
    "name", ["", " ", "\t", "a\nb", "a\0", "../star", "a/b", "-rf", "(a", "'; DROP TABLE", "<b>", "x" * 65, "\u202eabc", "a\u200bb"]
)
def test_an_odd_name_is_refused(here: Path, name: str) -> None:
    with pytest.raises(additions.BadName, match=r"is no name of an engraving. It needs 1 to 64"):
        additions.add(name, star())
    assert not additions.FILE.exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bar", r"There is an engraving named 'bar'\. Choose another name\.$"),
        ("Bar", r"There is an engraving named 'bar'\. Choose another name\.$"),
        ("STAR", r"named 'star'\. Choose another name, or remove that one: make gravures-remove name='star'$"),
    ],
)
def test_a_name_that_exists_is_refused_with_the_remedy(here: Path, name: str, words: str) -> None:
    additions.add("star", star(), known=["bar"])
    with pytest.raises(additions.NameTaken, match=words):
        additions.add(name, star(), known=["bar"])
    assert additions.read().names == ["star"]


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.zeros((64, 64), np.uint8), "blank"),
        (np.full((64, 64), 255, np.uint8), "blank"),
        (np.zeros((32, 32), np.uint8), r"not uint8 \[32, 32\]"),
        (np.zeros((64, 64)), r"not float64 \[64, 64\]"),
        (np.zeros((1, 64, 64), np.uint8), r"not uint8 \[1, 64, 64\]"),
    ],
)
def test_what_is_no_brought_picture_is_refused(here: Path, picture: Any, words: str) -> None:
    with pytest.raises(additions.BadPicture, match=words):
        additions.add("star", picture)
    assert not additions.FILE.exists()


def test_what_was_never_added_cannot_be_taken_away(here: Path) -> None:
    with pytest.raises(additions.UnknownAddition, match="Added are: none"):
        additions.remove("star")
    for number in range(7):
        additions.add(f"star {number}", star(number))
    with pytest.raises(additions.UnknownAddition, match=r"name='star' has not been added\. Added are: star \d(, star \d){4}, \.\.\.\."):
        additions.remove("star")


def test_the_stamp_changes_with_each_change_and_only_then(here: Path) -> None:
    stamps = [additions.stamp()]
    for change in (
        lambda: additions.add("a", star()),
        lambda: additions.add("b", star(1)),
        lambda: additions.remove("b"),
        lambda: additions.add("b", star(2)),
    ):
        change()
        assert additions.stamp() == additions.stamp()
        stamps.append(additions.stamp())
    additions.read()
    assert additions.stamp() == stamps[-1]
    assert len(set(stamps)) == len(stamps)


def edited(**keys: Any) -> str:
    page = json.loads(additions.FILE.read_text())
    return json.dumps({**page, **keys})


FAULTS: dict[str, Callable[[], str | bytes]] = {
    "cut": lambda: additions.FILE.read_text()[:-40],
    "empty": lambda: "",
    "a-list": lambda: "[]",
    "not-text": lambda: b"\xff\xfe\0",
    "another-format": lambda: edited(format=2),
    "no-names": lambda: edited(engravings=[{}]),
    "no-base64": lambda: edited(engravings=[{"name": "a", "picture": "~~"}]),
    "no-picture": lambda: edited(engravings=[{"name": "a", "picture": "AAAA"}]),
    "an-odd-name": lambda: edited(engravings=[{"name": "../a", "picture": additions._packed(star())}]),
    "twice": lambda: edited(engravings=[{"name": name, "picture": additions._packed(star())} for name in ("a", "A")]),
    "another-size": lambda: edited(engravings=[{"name": "a", "picture": additions._packed(np.zeros((9, 9), np.uint8))}]),
    "a-cut-picture": lambda: edited(engravings=[{"name": "a", "picture": additions._packed(star())[:60]}]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_damaged_additions_are_named_and_left_as_they_are(here: Path, fault: str) -> None:
    additions.add("star", star())
    content = FAULTS[fault]()
    additions.FILE.write_bytes(content if isinstance(content, bytes) else content.encode())
    left = additions.FILE.read_bytes()
    for touch in (additions.read, lambda: additions.add("b", star()), lambda: additions.remove("star")):
        with pytest.raises(additions.BrokenAdditions, match=r"additions\.json is damaged .*Restore a copy, or delete it"):
            touch()
    assert additions.FILE.read_bytes() == left


def test_what_a_killed_process_left_half_written_is_not_seen(here: Path) -> None:
    additions.add("star", star())
    (additions.ROOT / ".additions.json.draft-1").write_text('{"format": 1, "engr')
    assert additions.read().names == ["star"]
    additions.add("moon", star(1))
    assert additions.read().names == ["star", "moon"]


def test_hundreds_are_kept_and_found(here: Path) -> None:
    random = np.random.default_rng(0)
    rows = [
        {"name": f"symbol {number}", "picture": additions._packed(random.integers(0, 256, (64, 64), np.uint8))} for number in range(400)
    ]
    folders.write_json(additions.FILE, {"format": 1, "engravings": rows})
    additions.add("star", star())
    names, pictures = additions.read()
    assert (len(names), names[-1], pictures.shape) == (401, "star", (401, 64, 64))
    space = Space([Entry(name, "added", None) for name in names], unit(random, 401, 256))
    assert len(space.nearest(unit(random, 256), 401)) == 401


ADD = """
import sys
from pathlib import Path
import numpy as np
from pipelines.families.gravures.parts import additions
print("ready", flush=True)
sys.stdin.readline()
for number in range(8):
    additions.add(f"{sys.argv[1]} {number}", np.eye(64, dtype=np.uint8))
"""
HOLD = """
import sys
from pipelines import folders
from pipelines.families.gravures.parts import additions
with folders.locked(additions.LOCK):
    print("ready", flush=True)
    sys.stdin.readline()
"""


def process(code: str, *words: str) -> subprocess.Popen[str]:
    """A process of the project, which has said that it is ready."""
    started = subprocess.Popen(
        [sys.executable, "-c", code, *words], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert started.stdout and started.stdout.readline() == "ready\n"
    return started


def test_what_several_processes_add_at_once_is_all_there(here: Path) -> None:
    adding_now = [process(ADD, name) for name in "abc"]
    for one in adding_now:
        assert one.stdin
        one.stdin.write("\n")
        one.stdin.close()
    seen = 0
    while any(one.poll() is None for one in adding_now):
        names = additions.read().names  # a reader never sees less than before, nor an error
        assert len(names) >= seen
        seen = len(names)
    assert [one.wait() for one in adding_now] == [0, 0, 0]
    assert sorted(additions.read().names) == sorted(f"{name} {number}" for name in "abc" for number in range(8))


def test_who_adds_waits_for_the_lock_of_another_and_who_reads_does_not(here: Path) -> None:
    additions.add("star", star())
    holder = process(HOLD)
    waiting = process(ADD, "late")
    waiting.stdin.write("\n")  # type: ignore[union-attr]
    waiting.stdin.flush()  # type: ignore[union-attr]
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.5)
    assert additions.read().names == ["star"]
    holder.communicate("\n")
    waiting.communicate()
    assert len(additions.read().names) == 9


@pytest.fixture
def served(project: Path) -> Predictor:
    """A tiny model that services follow."""
    embedded_data("gravures")
    folder = tiny_model(CANDIDATE, 1)
    tag = store.put(folder, 1)
    store.write_pointer("gravures", {"tag": tag, "model": {"version": 1, "digest": manifests.read(folder)["digest"]}, "released": False})
    return Predictor(store.location(tag))


def photograph(picture: Picture) -> Path:
    """A brought picture as a person's file: dark on light, larger, off the middle."""
    grey = np.full((300, 260), 250, np.uint8)
    grey[30:158, 90:218] = 250 - 230 * (np.kron(picture, np.ones((2, 2), np.uint8)) > 127).astype(np.uint8)
    path = Path("photograph.png")
    Image.fromarray(grey).save(path)
    return path


def test_an_added_engraving_is_in_the_next_answer_of_who_runs_already(served: Predictor) -> None:
    embedding = served.predict(star()[None])[0]
    before = served.nearest(embedding, 3)
    told = adding.add("star", photograph(star()))
    after = served.nearest(embedding, 3)
    assert (after[0].engraving, after[0].kind) == ("star", "added")
    assert after[0].similarity > 0.9 > before[0].similarity
    assert after[1:] == before[:2]
    assert served.added == ["star"]
    assert re.findall(r"^  (-?\d\.\d\d)  (\S+) \((\w+)\)$", told, re.MULTILINE) == [
        (f"{match.similarity:.2f}", match.engraving, match.kind) for match in adding_nearest(served, photograph(star()))
    ]
    adding.remove("star")
    assert served.nearest(embedding, 3) == before


def adding_nearest(served: Predictor, image: Path) -> list[Match]:
    """The three nearest of what the model itself knows."""
    brought = served.convention.from_grey(pictures.inked(Image.open(image)))
    return [match for match in served.nearest(served.predict(brought[None])[0], 4) if match.kind != "added"][:3]


def test_damaged_additions_leave_a_running_service_what_it_has(served: Predictor) -> None:
    additions.add("ring", engravers.drawing("circle", np.random.default_rng(5)))
    size = len(served.space)
    additions.FILE.write_text("half of it")
    assert len(served.space) == size
    assert served.added == ["ring"]
    additions.FILE.unlink()
    assert len(served.space) == size - 1


def test_additions_survive_a_new_champion_and_are_embedded_by_it(served: Predictor) -> None:
    adding.add("star", photograph(star()))
    other = Predictor(tiny_model(CANDIDATE, 2))
    found = other.nearest(other.predict(star()[None])[0], 1)[0]
    assert (found.engraving, found.kind) == ("star", "added")
    assert found.similarity > 0.9
    assert abs(float(served.predict(star()[None])[0] @ other.predict(star()[None])[0])) < 0.5  # two models, two spaces


BAD_PICTURES: dict[str, tuple[bytes | None, str]] = {
    "no-file": (None, r"picture is not a file\. Name an image: make gravures-add"),
    "nothing": (b"", "picture cannot be decoded"),
    "text": (b"a star, I believe", "picture cannot be decoded"),
    "cut": (encoded(Image.effect_noise((90, 90), 90))[:300], "picture cannot be decoded"),
    "white": (encoded(Image.new("L", (90, 90), 255)), "picture: The picture is blank"),
    "black": (encoded(Image.new("L", (90, 90), 0)), "picture: The picture is blank"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", BAD_PICTURES)
def test_a_bad_picture_is_refused_and_nothing_is_added(served: Predictor, kind: str) -> None:
    content, words = BAD_PICTURES[kind]
    if content is not None:
        Path("picture").write_bytes(content)
    with pytest.raises(adding.NoPicture, match=words):
        adding.add("star", Path("picture"))
    assert additions.read().names == []


def test_a_class_and_a_picture_of_the_catalogue_keep_their_names(served: Predictor) -> None:
    for name in {
        match.engraving for kind in ("class", "catalogue") for match in served.nearest(served._own[1][0], 99) if match.kind == kind
    }:
        with pytest.raises(additions.NameTaken):
            adding.add(name, photograph(star()))


def command(*words: str) -> subprocess.CompletedProcess[str]:
    words = (sys.executable, "-m", "atelier", *words)
    return subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_command_says_what_was_done_and_faults_are_told_once(served: Predictor) -> None:
    image = str(photograph(star()))
    done = command("gravures-add", "--name", "star", "--image", image)
    assert done.stdout.startswith("star is added; running services find it from now on. The nearest to it:\n  0."), done.stderr
    again = command("gravures-add", "--name", "star", "--image", image)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.startswith("NameTaken: There is an engraving named 'star'.")
    assert "Traceback" not in again.stderr
    assert command("gravures-remove", "--name", "star").stdout == "star is removed.\n"


@pytest.mark.slow
def test_without_a_champion_the_command_says_how_to_get_one(project: Path) -> None:
    done = command("gravures-add", "--name", "star", "--image", str(photograph(star())))
    assert done.returncode == 1
    assert "NoChampion: gravures has no champion to serve. Train one with `make train family=gravures`." in done.stderr
    assert "Traceback" not in done.stderr
