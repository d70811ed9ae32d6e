"""One byte of any stored file is flipped: verify names the file, and the repair that it names puts it right."""

import hashlib
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import configs, folders, hashing, predictions
from pipelines.artifacts import cache, retention
from pipelines.artifacts import lock as dvc_lock
from pipelines.audit import consistency, findings
from pipelines.audit import verify as command
from pipelines.audit.verify import verify
from pipelines.datasets import cards
from pipelines.ledger import lines as ledger
from pipelines.models import checksums, manifests, signing
from pipelines.registry import challenge, promotion, reconcile, releases, store
from pipelines.tracking import client as tracking
from pipelines.tracking import locations
from tests.conftest import as_typed, embedded_data, environment, evaluate, moved, tiny_model, worktree
from tests.test_registry import WORDS

IGNORED = ".store/\n.checkpoints/\nmlruns/\n/data/\n/models/\n/reports/*/sheets/\nregistry/.lock\n*.pem\n"
RANDOM = random.Random(8)  # noqa: S311  (not for cryptography)
ROW = {"id": "a" * 32, "family": "digits", "time": "2026-11-20T22:49:53Z", "version": 1, "digest": "d", "milliseconds": 1.5}
SHEETS = "reports/digits/sheets/drawn"
PLACES = (".dvc/cache", "data", "models", "reports", "mlruns/artifacts", "released", "registry")
PLACES += (".store/models", ".store/champions", ".store/restored")


def git(*words: str) -> None:
    subprocess.run(["git", "-c", "user.name=test", "-c", "user.email=test@localhost", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def full_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with everything in it: git, DVC's cache and a record of a run, a signed and released version, a prediction."""
    folder = tmp_path_factory.mktemp("full") / "project"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("DVC_EXP_NAME", "DATA_MIRROR", "PREDICTIONS_URL", signing.VERIFYING):
            patch.delenv(name, raising=False)
        private, _ = signing.make_keys(folder)
        patch.setenv(signing.SIGNING, str(private))
        _trained()
        assert promotion.promote(configs.compose([*WORDS]))["open"]
        releases.release("digits")
        for name in retention.names(ledger.read("digits")):
            cache.restore(name, _empty(Path(".store/restored", name)))
        predictions.Store().add([{**ROW, "input": hashlib.sha256(b"sent").hexdigest(), "output": '{"prediction": 7}'}], {})
        git("add", "-A")
        git("commit", "-qm", "all")
    return folder


def _trained() -> None:
    from dvc.repo import Repo

    git("init", "-q")
    Repo.init(".").close()
    embedded_data()
    tiny_model("digits-adam", 1)
    evaluate("digits-adam", 0.5)
    outs = {"ingest": ["data/digits"], "train": ["models/digits-adam"], "evaluate": ["reports/digits/sheets/digits-adam"]}
    stages = {name: {"cmd": "false", "outs": paths} for name, paths in outs.items()}
    drawn = {"cmd": f"mkdir -p {SHEETS} && cp .gitignore {SHEETS}/sheet", "deps": [".gitignore"], "outs": [SHEETS]}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {**stages, "draw": drawn}}))
    Path(".gitignore").write_text(IGNORED)
    with Repo() as repo:
        repo.commit("ingest", force=True)
        repo.commit("train", force=True)
        repo.commit("evaluate", force=True)
        repo.reproduce("draw")


def _empty(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def project_copy(full_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that project as the working directory."""
    subprocess.run(["cp", "-a", full_project, tmp_path / "project"], check=True)  # hard links stay what they are
    monkeypatch.chdir(tmp_path / "project")
    locations.mend(tracking.ROOT)
    moved()
    for name in ("DVC_EXP_NAME", "PREDICTIONS_URL", signing.SIGNING, signing.VERIFYING):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "project"


def files() -> list[Path]:
    return [path for place in PLACES for path in checksums.files(Path(place))]


def flip(path: Path, at: int | None = None) -> None:
    """Another bit somewhere, as a disk that rots does it: size and time stay."""
    content, times = bytearray(path.read_bytes()), path.stat()
    at = RANDOM.randrange(len(content)) if at is None else at
    content[at] ^= 1 << RANDOM.randrange(8)
    path.chmod(0o644)
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def broken() -> list[str]:
    return [str(fault.path) for fault in verify().faults]


def test_what_is_as_it_was_written_is_said_to_be(project_copy: Path) -> None:
    found = verify()
    assert found.faults == [] and found.unknown == [] and found.notices == [], found
    read = [path for path in files() if path.parts[0] != "registry" and "champions" not in path.parts and path.name != releases.RELEASE]
    there = {path for path in read if path.name not in {checksums.SUMS, "latest"} and "runs" not in path.parts[:3]}
    assert found.files == len(there)
    assert found.bytes == sum(path.stat().st_size for path in there)


def test_a_flipped_byte_in_a_file_of_each_folder_is_found_and_named(project_copy: Path) -> None:
    seeded()
    of_each: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for path in files():
        of_each[path.parts[:3]].append(path)
    assert len(of_each) >= 20, of_each
    for there in of_each.values():
        found_and_put_back(RANDOM.choice(there))


@pytest.mark.slow
def test_a_flipped_byte_in_any_file_is_found_and_named(project_copy: Path) -> None:
    assert len(files()) > 90, files()
    seeded()
    for path in files():
        found_and_put_back(path)


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_thirty_random_flips_in_each_place_are_found(project_copy: Path, place: str) -> None:
    """As often in a large file as its bytes are of the place's."""
    seeded()
    there = checksums.files(Path(place))
    for path in RANDOM.choices(there, [path.stat().st_size for path in there], k=30):
        found_and_put_back(path)


def seeded() -> None:
    print("seed", seed := random.SystemRandom().randrange(1_000_000))
    RANDOM.seed(seed)


def found_and_put_back(path: Path) -> None:
    before = path.read_bytes()
    flip(path, before.index(b"cp") if "runs" in path.parts[:3] else None)  # of a run's record DVC's name covers all but the sizes
    assert str(path) in broken(), path
    path.write_bytes(before)


REPAIRED = {
    "the cache": lambda: cache.path_of(outputs_of("models/digits-adam")["record.json"]),
    "its list of a folder": lambda: cache.path_of(str(dvc_lock.hash_of(Path("data/digits")))),
    "what is held": lambda: cache.retained_path(outputs_of("data/digits")["card.json"]),
    "a record of a run": lambda: next(Path(".dvc/cache/runs").glob("*/*/*")),
    "data": lambda: next(Path("data/digits").glob("*.npy")),
    "a model folder": lambda: Path("models/digits-adam/history.jsonl"),
    "a copy of the cache": lambda: next(Path(".store/restored").glob("*/record.json")),
    "the store": lambda: store.models("digits")[0] / "model.onnx",
    "the store's own file": lambda: store.models("digits")[0] / "model.yaml",
    "a release": lambda: Path("released/digits/model.onnx"),
    "a release's list": lambda: Path("released/digits/release.json"),
    "a ledger": lambda: ledger.path("digits"),
    "a signature": lambda: next(signing.ROOT.glob("*/*.sig")),
    "a pointer": lambda: store.pointer_path("digits"),
    "a report": lambda: Path("reports/digits/candidates/digits-adam.json"),
    "a plot": lambda: Path("reports/digits/plots/digits-adam/confusion.csv"),
    "the champion's report": lambda: Path("reports/digits/champion.json"),
    "a sheet": lambda: Path("reports/digits/sheets/digits-adam/mistakes.png"),
    "MLflow's model": lambda: next(Path("mlruns/artifacts").glob("*/*/artifacts/model/model.onnx")),
    "MLflow's plot": lambda: next(Path("mlruns/artifacts").glob("*/*/artifacts/plots/history.csv")),
    "MLflow's card": lambda: next(Path("mlruns/artifacts").glob("*/*/artifacts/README.md")),
    "MLflow's list": lambda: next(Path("mlruns/artifacts").glob("*/*/artifacts/SHA256SUMS")),
}


def outputs_of(folder: str) -> dict[str, str]:
    return cache.listing(str(dvc_lock.hash_of(Path(folder))))


def repair() -> list[str]:
    """Type every command that verify names, as it names it."""
    typed = [fault.repair for fault in verify().faults if not fault.repair.startswith(findings.NO_COPY)]
    for words in dict.fromkeys(typed):
        shell, _, ours = words.partition(" && make reconcile family=")
        done = subprocess.run(as_typed(shell), env=environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        if ours:  # the same command, without waiting for Python and MLflow again
            reconcile.main(ours)
    return typed


@pytest.mark.parametrize("place", REPAIRED)
def test_the_repair_that_is_named_puts_it_right(project_copy: Path, place: str) -> None:
    path = REPAIRED[place]()
    before = path.read_bytes()
    flip(path, before.index(b"cp") if place == "a record of a run" else None)
    assert str(path) in broken()
    typed = repair()
    assert verify().faults == [], typed
    assert not path.exists() if place in {"a record of a run"} else path.read_bytes() == before or place in {"the store's own file"}


@pytest.mark.parametrize("place", ["data", "a model folder", "the store", "a release", "a copy of the cache"])
def test_what_is_missing_comes_back(project_copy: Path, place: str) -> None:
    path = REPAIRED[place]()
    before = path.read_bytes()
    path.unlink()
    assert [str(path), "missing"] == [broken()[0], verify().faults[0].words.split()[1].rstrip(":")]
    repair()
    assert path.read_bytes() == before and verify().faults == []


def test_without_another_copy_dvc_brings_it_back(project_copy: Path) -> None:
    """The list of data/ is lost beside its files: they are all as they were, so that DVC can write it again."""
    shutil.rmtree(".store/restored")
    shutil.rmtree(cache.retained_path(""))
    path = REPAIRED["its list of a folder"]()
    before = path.read_bytes()
    flip(path)
    assert [fault.repair for fault in verify().faults] == [f"rm -f {path} && dvc commit --force data/digits"]
    repair()
    assert path.read_bytes() == before and verify().faults == []


def linked(kind: str) -> None:
    """The workspace as DVC lays it out of its cache with this cache.type."""
    Path(".dvc/config").write_text(f"[cache]\n    type = {kind}\n")
    for folder in ("data/digits", "models/digits-adam"):
        for name, md5 in outputs_of(folder).items():
            path, place = Path(folder, name), cache.path_of(md5).absolute()
            if kind != "copy":
                path.unlink()
                path.hardlink_to(place) if kind == "hardlink" else path.symlink_to(place)


@pytest.mark.parametrize("name", ["models/digits-adam/native/weights", "data/digits/card.json"])
@pytest.mark.parametrize("kind", ["copy", "hardlink", "symlink"])
def test_one_flip_in_every_copy_that_dvc_has_never_becomes_the_truth(project_copy: Path, kind: str, name: str) -> None:
    linked(kind)
    path, lock = Path(name), Path("dvc.lock").read_bytes()
    before = path.read_bytes()
    flip(path)
    if kind == "copy":
        cached = cache.path_of(outputs_of(str(Path(*path.parts[:2])))[path.relative_to(*path.parts[:2]).as_posix()])
        cached.chmod(0o644)  # DVC's cache is read-only, for all but root
        shutil.copyfile(path, cached)
    shutil.move(".store/restored", "elsewhere")
    damaged = path.read_bytes()
    assert (faults := verify().faults) and all(findings.NO_COPY in fault.repair and "make rebuild" in fault.repair for fault in faults)
    repair()
    assert str(path) in broken() and path.read_bytes() == damaged and Path("dvc.lock").read_bytes() == lock
    shutil.move("elsewhere", ".store/restored")
    repair()
    assert verify().faults == [] and path.read_bytes() == before


def test_what_dvc_was_made_to_list_anew_is_held_against_the_manifest(project_copy: Path) -> None:
    flip(Path("models/digits-adam/native/weights"))
    subprocess.run(["dvc", "commit", "--force", "models/digits-adam"], check=True, env=environment(), capture_output=True)
    assert "models/digits-adam/native/weights" in broken()


@pytest.mark.parametrize("folder", ["models/digits-adam", "data/digits"])
def test_what_was_made_since_is_never_overwritten(project_copy: Path, folder: str) -> None:
    """A training or data that nobody has told DVC of: it is in no cache, and only as DVC has listed it could it be brought back."""
    shutil.rmtree("mlruns/artifacts")
    if folder == "data/digits":
        Path(folder, "images.npy").write_bytes(b"others")
        card = cards.read(Path(folder))
        Path(folder, cards.CROISSANT).unlink()
        Path(folder, cards.CARD).unlink()
        cards.write(Path(folder), card)
    else:
        tiny_model("digits-adam", 2)
    assert [(str(fault.path), fault.repair) for fault in verify().faults] == [(folder, f"dvc commit --force {folder}")]
    flip(made := next(Path(folder).rglob("*.npy" if folder == "data/digits" else "weights")))
    (known, damaged) = verify().faults
    assert (str(known.path), damaged.path) == (folder, made) and damaged.repair.startswith(findings.NO_COPY)


def test_a_folder_that_is_gone_is_made_again(project_copy: Path) -> None:
    shutil.rmtree("models/digits-adam/native")
    repair()
    assert verify().faults == []


OTHERS = [pytest.param(name, marks=pytest.mark.slow) for name in ("model.yaml", "example.npz", checksums.SUMS)]


@pytest.mark.parametrize("name", ["model.onnx", *OTHERS])
def test_the_only_copy_of_a_model_is_never_deleted(project_copy: Path, name: str) -> None:
    for place in ("models", "data", "mlruns", ".store/restored", ".dvc/cache", "released"):
        shutil.rmtree(place, ignore_errors=True)
    (folder,) = store.models("digits")
    model = (folder / "model.onnx").read_bytes()
    flip(folder / name)
    damaged = (folder / "model.onnx").read_bytes()
    assert [fault.path for fault in verify().faults] == [folder / name]
    repair()
    assert Path(store.ASIDE, f"digits-{folder.name}", "model.onnx").read_bytes() == damaged
    assert name == "model.onnx" or (folder / "model.onnx").read_bytes() == model
    assert verify().faults == []


def test_a_list_that_is_gone_vouches_for_nothing_anew(project_copy: Path) -> None:
    (folder,) = store.models("digits")
    (folder / checksums.SUMS).unlink()
    flip(folder / "example.npz")
    (folder / "stray").write_text("stray")
    reconcile.reconcile("digits")
    assert {"example.npz", "model.yaml"} <= {path.name for path in verify().unknown}
    assert str(folder / "stray") in broken()


def test_a_release_that_says_nothing_is_a_fault(project_copy: Path) -> None:
    place = Path("released/digits/release.json")
    place.unlink()
    assert broken() == [str(place)]
    repair()
    assert verify().faults == []
    git("rm", "-rq", "--cached", "released")
    git("commit", "-qm", "not kept")
    place.unlink()
    assert broken() == [str(place)]


@pytest.mark.parametrize("shown", [True, False])
def test_another_hash_in_the_lock_hides_nothing(project_copy: Path, shown: bool) -> None:
    """Git's last commit says which it was, or where git has no lock the ledger."""
    name = str(dvc_lock.hash_of(Path("models/digits-adam")))
    content = Path("dvc.lock").read_text()
    Path("dvc.lock").write_text(content.replace(name, f"{'0' * 32}.dir"))
    if not shown:
        git("rm", "-q", "--cached", "dvc.lock")
        git("commit", "-qm", "not kept")
    assert broken() == ["dvc.lock"]
    flip(Path("models/digits-adam/record.json"))
    assert broken() == ["dvc.lock", "models/digits-adam/record.json"]


def test_a_lock_that_came_with_git_is_ahead_of_its_folders(project_copy: Path) -> None:
    """A colleague's training that nobody has pulled yet, and that was refused: the last version of the ledger is the one before."""
    name = str(dvc_lock.hash_of(Path("models/digits-adam")))
    Path("dvc.lock").write_text(Path("dvc.lock").read_text().replace(name, f"{'0' * 32}.dir"))
    git("commit", "-qam", "a colleague's")
    assert broken() == []


def test_what_cannot_be_read_is_not_called_missing(project_copy: Path) -> None:
    path = Path("models/digits-adam/record.json")
    path.unlink()
    path.symlink_to(path.name)
    (fault,) = verify().faults
    assert fault.path == path and "cannot be read: Too many levels" in fault.words and "rm" not in fault.repair.split()


def test_many_rows_are_counted_and_forgotten_at_once(project_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {**ROW, "input": hashlib.sha256(b"sent").hexdigest(), "output": "{}"}
    predictions.Store().add([{**row, "id": f"{number:032x}"} for number in range(1000)], {})
    with sqlite3.connect(".store/predictions.db") as database:
        database.execute("UPDATE predictions SET milliseconds = 2 WHERE output = '{}'")
    database.close()
    (fault,) = verify().faults
    assert "1,000 ids" in fault.words and fault.repair == "make verify forget=all"
    assert command.forget(["all"]) == 1000
    assert verify().faults == [] and predictions.Store().find(str(ROW["id"]))


def test_what_is_not_here_is_not_broken_and_is_named(project_copy: Path) -> None:
    for place in ("models", "data", ".store/restored"):
        shutil.rmtree(place)
    assert verify().faults == []
    assert noticed() == {("data/digits", findings.ABSENT, "dvc checkout {}"), ("models/digits-adam", findings.ABSENT, "dvc checkout {}")}
    shutil.rmtree(".dvc/cache")
    assert verify().faults == []
    lost = {"data/digits", "models/digits-adam", "digits version 1 (digits-adam)", "data of digits version 1"}
    assert lost <= {name for name, _, remedy in noticed() if findings.NO_COPY in remedy}
    assert ("digits version 1 (digits-adam)", findings.SERVED) in {(name, words) for name, words, _ in noticed()}


def test_a_model_that_the_store_lost_is_named(project_copy: Path) -> None:
    (folder,) = store.models("digits")
    shutil.rmtree(folder)
    shutil.rmtree(".store/models/digits")
    assert verify().faults == []
    assert noticed() == {(str(folder), findings.ABSENT, "make reconcile family=digits")}
    reconcile.reconcile("digits")
    assert noticed() == set() and verify().faults == []


def noticed() -> set[tuple[str, str, str]]:
    return set(map(tuple, verify().notices))


def test_a_missing_object_of_the_cache_is_named(project_copy: Path) -> None:
    """The list of its folder is here, so that it was once."""
    shutil.rmtree(".store/restored")
    path = REPAIRED["the cache"]()
    before = path.read_bytes()
    path.unlink()
    assert broken() == [str(path)] and "is missing" in verify().faults[0].words
    repair()
    assert path.read_bytes() == before and verify().faults == []


def test_another_training_that_dvc_has_is_not_broken_and_dvc_checkout_is_said_once(
    project_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After an experiment and `git checkout dvc.lock`."""
    from dvc.repo import Repo

    lock = Path("dvc.lock").read_bytes()
    tiny_model("digits-adam", 2)
    evaluate("digits-adam", 0.7)
    with Repo() as repo:
        repo.commit("train", force=True)
        repo.commit("evaluate", force=True)
    assert verify().faults == []
    Path("dvc.lock").write_bytes(lock)
    found = verify()
    assert found.faults == []
    command.show(found)
    checked_out = {name for name, _, remedy in noticed() if remedy == "dvc checkout {}"}
    assert checked_out == {"models/digits-adam", "reports/digits/sheets/digits-adam"}
    restored = {name for name, _, remedy in noticed() if remedy == "git checkout HEAD -- {}"}
    assert "reports/digits/candidates/digits-adam.json" in restored and all(name.startswith("reports/digits/") for name in restored)
    assert capsys.readouterr().out.count("dvc checkout") == 1
    flip(Path("models/digits-adam/model.onnx"))
    assert "models/digits-adam/model.onnx" in broken()


def test_a_challenge_that_ended_leaves_nothing_broken(project_copy: Path) -> None:
    """The store's note of the latest model named the challenger's copy."""
    tiny_model("digits-sgd", 2)
    challenge.challenge("digits", "digits-sgd", 0.1)
    assert len(store.models("digits")) == 2 and verify().faults == []
    challenge.challenge("digits", challenge.NONE)
    assert len(store.models("digits")) == 1 and verify().faults == []


@pytest.mark.slow
def test_a_clone_that_converts_line_endings_keeps_every_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As git on Windows is set up; and the repairs that verify names lay the same bytes."""
    (tmp_path / "origin").mkdir()
    origin, clone = worktree(tmp_path / "origin", "docs/", "tests/", "benchmarks/", "notebooks/", "serving/"), tmp_path / "clone"
    git("clone", "-q", "-c", "core.autocrlf=true", str(origin), str(clone))
    monkeypatch.chdir(clone)
    assert verify().faults == []
    named = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=True).stdout.split("\0")[:-1]
    assert [name for name in named if Path(name).read_bytes() != (origin / name).read_bytes()] == []
    report = Path("reports/digits/champion.json")
    flip(report)
    (fault,) = verify().faults
    subprocess.run(as_typed(f"rm -f {report} && {findings.checkout(report)}"), check=True, capture_output=True)
    assert fault.path == report and verify().faults == []


def test_what_is_not_covered_is_said(project_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main() == 0
    printed = capsys.readouterr().out
    assert "Not covered: mlruns/mlflow.db (`mv mlruns mlruns.old && make reconcile` makes it again" in printed
    assert "all intact." in printed


def test_a_file_that_nobody_names_is_told(project_copy: Path) -> None:
    strays = [Path("models/digits-adam/stray"), Path("released/digits/stray"), store.models("digits")[0] / "stray"]
    for stray in strays:
        stray.write_text("stray")
    faults = {fault.path: fault for fault in verify().faults}
    assert set(faults) == set(strays)
    assert all("should not be there" in fault.words for fault in faults.values())


def test_a_folder_that_dvc_does_not_know_is_held_against_itself(project_copy: Path) -> None:
    Path("dvc.lock").unlink()
    unknown = {path.name for path in verify().unknown if path.parts[0] != "reports"}
    assert unknown == {"card.json", "croissant.json", "model.json", "record.json", "history.jsonl"}
    flip(Path("models/digits-adam/native/weights"))
    assert broken() == ["models/digits-adam/native/weights"]


RELEASED = Path("released/digits")


@pytest.mark.parametrize("name", [releases.RELEASE, manifests.MANIFEST])
def test_what_a_damaged_file_seems_to_say_is_not_told_besides(project_copy: Path, name: str) -> None:
    """It still reads as JSON: a release of a line that no ledger holds, a manifest of another model."""
    content = (RELEASED / name).read_bytes()
    digit = re.search(rb'"(hash|sha256)": "', content).end()
    (RELEASED / name).write_bytes(content[:digit] + (b"1" if content[digit : digit + 1] == b"0" else b"0") + content[digit + 1 :])
    assert broken() == [str(RELEASED / name)]
    repair()
    assert (RELEASED / name).read_bytes() == content and verify().faults == []


def test_a_release_beside_another_model_is_told(project_copy: Path) -> None:
    manifest, release = RELEASED / manifests.MANIFEST, RELEASED / releases.RELEASE
    other, named = json.loads(manifest.read_text()), json.loads(release.read_text())
    other["files"]["model.onnx"]["sha256"] = "0" * 64
    manifest.write_text(json.dumps(other))
    write_summed(release, {**named, "files": {**named["files"], manifest.name: folders.sha256(manifest)}})
    assert "is beside another model" in "".join(fault.words for fault in verify().faults)


def write_summed(path: Path, facts: dict[str, Any]) -> None:
    others = {key: value for key, value in facts.items() if key != checksums.SUM}
    folders.write_json(path, {**others, checksums.SUM: folders.hash_of(others)})


@pytest.mark.parametrize("path", [RELEASED / releases.RELEASE, store.pointer_path("digits")], ids=["release", "pointer"])
def test_a_sum_under_another_name_is_a_missing_sum(project_copy: Path, path: Path) -> None:
    path.write_text(path.read_text().replace(f'"{checksums.SUM}":', '"rum":'))
    assert str(path) in broken()


def test_every_bit_of_a_ledger_counts(project_copy: Path) -> None:
    """Also where JSON would read the same: 1e-05 and 1E-05, a blank, a line that is not ended."""
    content = ledger.path("digits").read_bytes()
    assert consistency.intact(content) == len(content)
    for at in range(len(content)):
        for bit in (1, 1 << RANDOM.randrange(1, 8)):
            altered = content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :]
            assert consistency.intact(altered) < len(content), at


def test_a_decision_that_git_does_not_have_yet_outlives_the_repair(project_copy: Path) -> None:
    head = ledger.read("digits")[-1]
    facts = {"digest": head["digest"], "candidate": "digits-adam", "data": head["data"], "reasons": ["below"]}
    ledger.append("digits", "refuse", "again", facts, after=head["hash"])
    before = ledger.path("digits").read_bytes()
    flip(ledger.path("digits"), at=100)
    repair()
    assert ledger.path("digits").read_bytes() == before and verify().faults == []


def test_a_last_line_that_only_the_pointer_holds_whole_comes_back(project_copy: Path) -> None:
    """Nothing that is printed before takes the pointer away; the stamp and the release, which know its hash alone, add nothing."""
    (first,) = ledger.read("digits")
    facts = {key: first[key] for key in ("candidate", "digest", "data", "commit", "version")}
    line = ledger.append("digits", "rollback", "back", facts, after=first["hash"])
    store.write_pointer("digits", {**store.read_pointer("digits"), "decision": line})
    folders.write_json(ledger.STAMPS / "digits.json", {"head": line["hash"]})
    named = json.loads((RELEASED / releases.RELEASE).read_text()) | {"hash": line["hash"], "time": line["time"]}
    write_summed(RELEASED / releases.RELEASE, named)
    whole = ledger.path("digits").read_bytes()
    ledger.path("digits").write_text(folders.canonical(first) + "\n")
    assert broken() == [str(store.pointer_path("digits"))]
    assert repair() == ["make restore-ledger family=digits"]
    assert ledger.path("digits").read_bytes() == whole and verify().faults == []


def test_a_prediction_that_was_changed_is_named_and_forgotten(project_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect(".store/predictions.db") as database:
        database.execute("UPDATE predictions SET output = '{\"prediction\": 1}'")
    database.close()
    (fault,) = verify().faults
    assert str(fault.path) == ".store/predictions.db" and "not what was written" in fault.words
    assert fault.repair == f"make verify forget={ROW['id']}"
    repair()
    assert verify().faults == [] and predictions.Store().find(str(ROW["id"])) is None


def test_only_a_broken_database_is_taken_away(project_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that another process writes is not; a file with a blank in its name is taken with what lies beside it."""
    monkeypatch.setattr(predictions, "PATIENCE_MS", 1)
    place = Path("my store/kept.db")
    place.parent.mkdir()
    shutil.copyfile(".store/predictions.db", place)
    monkeypatch.setenv("PREDICTIONS_URL", f"sqlite:///{place}")
    other = sqlite3.connect(place, isolation_level=None)
    other.execute("PRAGMA journal_mode = DELETE")
    other.execute("BEGIN EXCLUSIVE")
    assert [fault.repair.partition("  #")[0] for fault in verify().faults] == ["make verify"]
    other.close()
    assert verify().faults == []
    place.write_bytes(b"broken" * 1000)
    (fault,) = verify().faults
    Path(f"{place}-wal").write_bytes(b"of it")
    subprocess.run(as_typed(fault.repair), check=True)
    assert {path.name for path in place.parent.iterdir()} == {"kept.db.broken", "kept.db-wal.broken"}
    assert verify().faults == []


def test_the_command_ends_with_the_first_broken_file(project_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main("digits") == 0
    assert capsys.readouterr().out.endswith("all intact.\n")
    flip(Path("models/digits-adam/record.json"))
    assert command.main("digits", json=True) == 1
    (fault,) = json.loads(capsys.readouterr().out)["faults"]
    assert fault["path"] == "models/digits-adam/record.json"
    assert command.main("digits") == 1
    printed = capsys.readouterr().out.splitlines()
    assert "1 broken, the first is models/digits-adam/record.json." in printed[-1]
    assert printed[1].startswith("    repair: install -Dm 644 ")


def test_another_family_is_left_out(project_copy: Path) -> None:
    flip(Path("models/digits-adam/record.json"))
    assert verify("objects").faults == []
    assert len(verify("digits").faults) == 1


@pytest.mark.parametrize("size", [0, 1, hashing.BLOCK - 1, hashing.BLOCK, 3 * hashing.BLOCK + 7])
def test_a_hash_is_that_of_the_file(tmp_path: Path, size: int) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    content = RANDOM.randbytes(size)
    path.write_bytes(content)
    link.hardlink_to(path)
    asked = [hashing.Wanted(place, name) for place in (path, link) for name in ("md5", "sha256", hashing.GIT)]
    found = hashing.hashes([*asked, hashing.Wanted(tmp_path / "none", "md5"), hashing.Wanted(tmp_path, "md5")])
    named = subprocess.run(["git", "hash-object", str(path)], capture_output=True, text=True, check=True).stdout.strip()
    wanted = {
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "sha256": hashlib.sha256(content).hexdigest(),
        hashing.GIT: named,
    }
    assert {file: found[file] for file in asked} == {file: wanted[file.algorithm] for file in asked}
    assert found[hashing.Wanted(tmp_path / "none", "md5")] is None and found[hashing.Wanted(tmp_path, "md5")] is None


def test_sums_are_read_by_sha256sum_too(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Path(tmp_path, name).write_text(name)
    checksums.complete(tmp_path, "a", "b")
    subprocess.run(["sha256sum", "-c", "--strict", checksums.SUMS], cwd=tmp_path, check=True, capture_output=True)
    Path(tmp_path, "a").write_text("changed by itself")
    Path(tmp_path, "b").write_text("made anew")
    Path(tmp_path, "stray").write_text("nobody's")
    checksums.complete(tmp_path, "b")
    assert checksums.read(tmp_path) == {name: hashlib.sha256(words).hexdigest() for name, words in (("a", b"a"), ("b", b"made anew"))}
