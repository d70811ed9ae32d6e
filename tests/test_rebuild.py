"""Two versions of one model folder, only the newer in dvc.lock: pushed, collected, cloned, fetched, and the same registry again."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import configs, folders, git
from pipelines.artifacts import branches, cache, remotes, retention
from pipelines.artifacts import lock as dvc_lock
from pipelines.audit import rebuild
from pipelines.ledger import lines as ledger
from pipelines.registry import promotion, versions
from pipelines.tracking import client as tracking
from pipelines.tracking import tags
from tests.conftest import embedded_data, environment, evaluate, git_refuses, tiny_model
from tests.test_registry import WORDS, state

BRANCH = "trunk"
COMMIT_ALL = ("git", "commit", "-qam", "state")
COMMIT = ("-c", "user.name=test", "-c", "user.email=test@localhost", "commit")
IGNORED = ".store/\n.checkpoints/\nmlruns/\n/data/\n/models/\n/reports/*/sheets/\nregistry/.lock\n"


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True, check=False)


def done(folder: Path, *words: str) -> str:
    found = run(folder, *words)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A repository with two versions of digits-adam, on a remote that is a folder, and what its registry showed."""
    folder = tmp_path_factory.mktemp("pushed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        _begun(folder)
        tracking.client()
        shutil.copyfile("mlruns/mlflow.db", folder.with_name("empty.db"))  # made once: it takes seconds
        for seed, accuracy in ((1, 0.5), (2, 0.6)):
            _version(seed, accuracy)
        shown = seen()
        done(folder, "git", "add", "-A")
        done(folder, "git", *COMMIT, "-qm", "two versions")
        printed = done(folder, sys.executable, "-m", "atelier", "push")
        assert printed.count(" sent ") == 4, printed
    return folder, shown


def _begun(folder: Path) -> None:
    """git, DVC, a remote, data, and a pipeline whose outputs are put there by hand."""
    done(folder, "git", "init", "-q", "-b", BRANCH)
    done(folder, "dvc", "init", "-q")
    done(folder, "dvc", "remote", "add", "-q", "-d", "store", str(folder.with_name("remote")))
    embedded_data()
    outs = {"ingest": "data/digits", "train": "models/digits-adam"}
    stages = {name: {"cmd": "false", "outs": [out]} for name, out in outs.items()}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    Path(".gitignore").write_text(IGNORED)


def _version(seed: int, accuracy: float) -> None:
    from dvc.repo import Repo

    tiny_model("digits-adam", seed)
    evaluate("digits-adam", accuracy)
    with Repo() as repo:
        repo.commit(force=True)
    decision = promotion.promote(configs.compose([*WORDS, "gate.confidence=0.001", "gate.gain=0"]))
    assert decision["open"], decision["words"]


def seen() -> dict[str, Any]:
    """All that must come back: the registry's state, every run's epochs, aliases, and the ledger to the byte."""
    store = tracking.client()
    runs = store.search_runs([tracking.experiment(store, "digits")])
    epochs = {
        run.data.tags[tags.KEY]: [(point.step, point.value) for point in store.get_metric_history(run.info.run_id, "valid_accuracy")]
        for run in runs
    }
    aliases = {name: int(number) for name, number in store.get_registered_model("digits").aliases.items()}
    return {**state(), "epochs": epochs, "aliases": aliases, "ledger": ledger.path("digits").read_text()}


@pytest.fixture
def clone(pushed: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What git has of the repository, with a remote of its own that holds the same, as the working directory."""
    origin, _ = pushed
    folder = tmp_path / "clone"
    done(tmp_path, "git", "clone", "-q", str(origin), str(folder))
    done(tmp_path, "cp", "-a", str(origin.with_name("remote")), str(tmp_path / "remote"))
    config = folder / ".dvc/config"
    config.write_text(config.read_text().replace(str(origin.with_name("remote")), str(tmp_path / "remote")))
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    Path("mlruns").mkdir()
    shutil.copyfile(origin.with_name("empty.db"), "mlruns/mlflow.db")
    return folder


@pytest.fixture
def fetched(clone: Path) -> ledger.Line:
    """A clone whose cache has all that the ledger names, and holds it; its older version."""
    remotes.fetch(retention.names(ledger.read("digits")))
    retention.retain(ledger.read("digits"))
    return older()


def older() -> ledger.Line:
    return ledger.read("digits")[0]


def onnx(line: ledger.Line) -> str:
    """The MD5 of a version's own file, which no other version has."""
    return cache.listing(line["dvc"])["model.onnx"]


def on_remote(name: str) -> Path:
    return Path("..", "remote", "files", "md5", name[:2], name[2:])


def truncated_anew(name: str) -> None:
    """On an inode of its own, as a program leaves it that writes a file again and is killed."""
    cache.path_of(name).unlink()
    cache.path_of(name).write_bytes(b"")


@pytest.mark.slow
def test_a_clone_has_the_same_registry_again_and_trains_nothing(clone: Path, pushed: tuple[Path, dict[str, Any]]) -> None:
    done(clone, "dvc", "pull")
    printed = done(clone, sys.executable, "-m", "atelier", "rebuild")
    assert "2 versions and their runs follow the ledgers again; 2 are complete." in printed
    assert seen() == pushed[1]
    assert versions.model_folder(older()).parent.name == "restored"
    assert not Path(".checkpoints").exists()
    assert done(clone, "git", "status", "--porcelain") == " M .dvc/config\n"  # this test's own


def test_without_a_pull_too_every_version_comes_back(clone: Path, pushed: tuple[Path, dict[str, Any]]) -> None:
    found = rebuild.rebuild(["digits"])
    assert [(back.version, back.alias, back.model, back.data) for back in found] == [
        ("1", "", rebuild.COMPLETE, rebuild.COMPLETE),
        ("2", "champion", rebuild.COMPLETE, rebuild.COMPLETE),
    ]
    assert seen() == pushed[1]


def lost(name: str) -> None:
    on_remote(name).unlink()


def damaged(name: str) -> None:
    """As DVC protects it: it then believes the file without reading it."""
    on_remote(name).chmod(0o644)
    on_remote(name).write_bytes(b"damaged")
    on_remote(name).chmod(0o444)


@pytest.mark.parametrize("fault", [lost, damaged])
@pytest.mark.parametrize("which", ["file", "list"])
def test_what_the_remote_lacks_is_named_and_the_rest_comes_back(
    clone: Path, pushed: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str], fault: Any, which: str
) -> None:
    fault(str(older()["dvc"]) if which == "list" else pushed_onnx(pushed[0]))
    found = rebuild.rebuild(["digits"])
    assert [(back.model, back.data) for back in found] == [(rebuild.ABSENT, rebuild.COMPLETE), (rebuild.COMPLETE, rebuild.COMPLETE)]
    now, before = seen(), pushed[1]
    assert {key: now[key] for key in ("versions", "aliases", "served", "pointer", "ledger")} == {
        key: before[key] for key in ("versions", "aliases", "served", "pointer", "ledger")
    }
    assert [key for key, *_ in now["runs"]] == [key for key, *_ in before["runs"]]
    rebuild.show(found)
    printed = capsys.readouterr().out
    assert "digits version 1: model absent, data complete." in printed
    assert "make push" in printed


def pushed_onnx(origin: Path) -> str:
    """The MD5 of the older version's own file, by the cache of the repository that pushed it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(origin)
        return onnx(older())


def test_the_command_ends_with_1_where_a_version_is_not_held(clone: Path) -> None:
    lost(str(older()["data_dvc"]))
    assert rebuild.main() == 1


def test_garbage_collection_takes_no_version_of_the_ledger(fetched: ledger.Line) -> None:
    mine = onnx(fetched)
    assert cache.path_of(mine).stat().st_nlink == 2  # no room is taken
    done(Path(), "dvc", "gc", "-w", "-f")
    assert not cache.path_of(mine).exists()
    shutil.rmtree(".store", ignore_errors=True)
    assert (versions.model_folder(fetched) / "model.onnx").is_file()
    assert cache.path_of(mine).stat().st_nlink == 2
    assert retention.lacking(retention.names(ledger.read("digits"))) == []


def test_what_is_held_and_damaged_is_not_put_back(fetched: ledger.Line) -> None:
    mine = onnx(fetched)
    cache.path_of(mine).chmod(0o644)
    cache.path_of(mine).write_bytes(b"damaged")
    with pytest.raises(cache.BrokenCache, match="make rebuild"):
        versions.model_folder(fetched)
    cache.path_of(mine).unlink()
    with pytest.raises(cache.NotHere, match="make rebuild"):
        versions.model_folder(fetched)
    assert not cache.retained_path(mine).exists()


def test_a_damaged_file_of_the_cache_gives_way_to_the_one_that_is_held(fetched: ledger.Line) -> None:
    mine = onnx(fetched)
    truncated_anew(mine)
    retention.retain([fetched])
    assert cache.intact(cache.path_of(mine), mine)
    assert cache.path_of(mine).samefile(cache.retained_path(mine))


def test_a_file_system_that_refuses_a_link_loses_nothing(fetched: ledger.Line, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = onnx(fetched)
    sound = cache.path_of(mine).read_bytes()
    cache.path_of(mine).unlink()
    cache.path_of(mine).write_bytes(sound)

    def refused(*_: Any) -> None:
        raise OSError(errno.EMLINK, "Too many links")

    monkeypatch.setattr(os, "link", refused)
    retention.retain([fetched])
    assert cache.retained_path(mine).read_bytes() == sound


def test_a_damaged_file_of_the_cache_is_fetched_again(fetched: ledger.Line) -> None:
    mine = onnx(fetched)
    cache.path_of(mine).chmod(0o644)
    cache.path_of(mine).write_bytes(b"damaged")
    assert [back.model for back in rebuild.rebuild(["digits"])] == [rebuild.COMPLETE] * 2
    assert cache.path_of(mine).samefile(cache.retained_path(mine))
    assert cache.intact(cache.retained_path(mine), mine)


def test_what_is_pushed_again_is_what_the_remote_has_lost(fetched: ledger.Line) -> None:
    names = retention.names(ledger.read("digits"))
    assert set(remotes.push(names).values()) == {remotes.THERE}
    on_remote(onnx(fetched)).unlink()
    assert remotes.push(names) == {name: remotes.SENT if name == fetched["dvc"] else remotes.THERE for name in names}
    assert on_remote(onnx(fetched)).is_file()


def test_what_a_remote_holds_in_another_size_is_sent_again(fetched: ledger.Line) -> None:
    mine = onnx(fetched)
    damaged(mine)
    assert remotes.push([fetched["dvc"]]) == {fetched["dvc"]: remotes.SENT}
    assert cache.intact(on_remote(mine), mine)
    cache.path_of(mine).unlink()
    cache.path_of(mine).write_bytes(b"damaged")
    assert remotes.push([fetched["dvc"]]) == {fetched["dvc"]: remotes.THERE}  # a damaged file takes no sound one's place
    assert cache.intact(on_remote(mine), mine)


def test_a_remote_that_takes_nothing_is_no_missing_one(fetched: ledger.Line) -> None:
    shutil.rmtree("../remote")
    Path("../remote").write_text("a file")
    with pytest.raises(remotes.RemoteFault, match="run the same command again"):
        remotes.push([fetched["dvc"]])


@pytest.mark.parametrize("name", ["data/digits", "models/digits-adam/native"])
def test_what_is_altered_in_its_place_is_not_whole(clone: Path, name: str) -> None:
    done(clone, "dvc", "pull")
    altered = next(path for path in sorted(Path(name).iterdir()) if path.is_file() and path.name not in {"card.json"})
    altered.unlink()
    model, data = [(back.model, back.data) for back in rebuild.rebuild(["digits"])][-1]
    assert [model == rebuild.COMPLETE, data == rebuild.COMPLETE] == [name.startswith("data"), name.startswith("models")]
    assert f"{altered.name} missing or altered" in f"{model}{data}"


def test_a_version_that_is_nowhere_whole_is_not_pushed_in_part(fetched: ledger.Line, capsys: pytest.CaptureFixture[str]) -> None:
    mine = onnx(fetched)
    shutil.rmtree("../remote")
    cache.path_of(mine).unlink()
    cache.retained_path(mine).unlink()
    with pytest.raises(SystemExit, match="1 of 3 folders are not on the remote"):
        remotes.push_all()
    assert "not sent: 1 of" in capsys.readouterr().out
    assert not on_remote(str(fetched["dvc"])).exists()
    assert on_remote(str(ledger.read("digits")[1]["dvc"])).is_file()


def held_by_an_experiment() -> Path:
    """A file of the cache that dvc.lock of an experiment names, and nothing else."""
    path, lock = cache.path_of("a3" * 16), dvc_lock.LOCK.read_text()
    path.parent.mkdir(exist_ok=True)
    path.write_text("tried")
    dvc_lock.LOCK.write_text(lock.replace(str(dvc_lock.hash_of(Path("models/digits-adam"))), "a3" * 16))
    done(Path(), "git", *COMMIT, "-qm", "tried", "dvc.lock")
    done(Path(), "git", "update-ref", "refs/exps/00/tried", "HEAD")
    done(Path(), "git", "reset", "-q", "--soft", "HEAD~")
    done(Path(), "git", "checkout", "-q", "HEAD", "--", "dvc.lock")
    return path


def test_collecting_takes_what_nothing_names_and_leaves_every_version(fetched: ledger.Line) -> None:
    tried = held_by_an_experiment()
    for path in (cache.path_of("0" * 32), on_remote("0" * 32)):
        path.parent.mkdir(exist_ok=True)
        path.write_text("of an experiment")
        os.utime(path, (0, 0))
    past = cache.retained_path("0" * 32)
    past.hardlink_to(cache.path_of("0" * 32))
    young = on_remote("1" * 32)
    young.parent.mkdir(exist_ok=True)
    young.write_text("of somebody who has not told git yet")
    assert remotes.collect(retention.names(ledger.read("digits")), "store") == {"cache": 1, "store": 1}
    assert on_remote(onnx(fetched)).is_file() and cache.retained_path(onnx(fetched)).is_file()
    assert young.is_file() and tried.is_file() and not past.exists()
    assert set(remotes.push(retention.names(ledger.read("digits"))).values()) == {remotes.THERE}


def test_a_clone_that_is_behind_takes_nothing_of_the_others_from_a_remote(fetched: ledger.Line) -> None:
    """It is on a branch where there is version 1 alone; what the branches know of is old, as on any remote after a while."""
    newer = ledger.read("digits")[1]
    mine = [name for name in retention.names([newer]) if name not in retention.names([fetched])]
    there = {each: on_remote(each) for name in mine for each in retention.files(name)}
    done(Path(), "git", "checkout", "-q", "-b", "behind")
    Path("dvc.lock").unlink()
    ledger.path("digits").write_text(folders.canonical(fetched) + "\n")
    done(Path(), "git", *COMMIT, "-qam", "version 1 alone")
    for path in Path("../remote").rglob("*"):
        os.utime(path, (0, 0))
    done(Path(), "git", "branch", "-qD", BRANCH)
    done(Path(), "git", "update-ref", "-d", f"refs/remotes/origin/{BRANCH}")
    done(Path(), "git", "update-ref", "-d", "refs/remotes/origin/HEAD")
    assert remotes.collect(retention.names(ledger.read("digits")), "store") == {"cache": 0, "store": 0}
    assert mine
    assert all(path.is_file() for path in there.values())


def test_nothing_is_collected_on_a_remote_where_git_cannot_fetch(fetched: ledger.Line) -> None:
    done(Path(), "git", "remote", "set-url", "origin", "/nowhere")
    with pytest.raises(branches.UnknownNeeds, match=r"`git fetch origin` tells why"):
        remotes.collect(retention.names(ledger.read("digits")), "store")


@pytest.mark.parametrize("held_too", [True, False])
@pytest.mark.parametrize("fault", [os.unlink, truncated_anew])
def test_a_local_collection_needs_every_list(fetched: ledger.Line, held_too: bool, fault: Any) -> None:
    """Without what is held, as on a file system without hard links, nothing is removed; with it the list comes back."""
    mine = onnx(fetched)
    fault(cache.path_of(str(fetched["dvc"])) if fault is os.unlink else str(fetched["dvc"]))
    if held_too:
        retention.retain([fetched])
        assert remotes.collect(retention.names(ledger.read("digits"))) == {"cache": 0}
    else:
        shutil.rmtree(cache.retained_path(""))
        with pytest.raises(branches.UnknownNeeds, match="Nothing was removed"):
            remotes.collect(retention.names(ledger.read("digits")))
    assert cache.path_of(mine).is_file()


def test_nothing_is_collected_where_a_versions_files_are_unknown(clone: Path) -> None:
    lost(str(older()["dvc"]))
    there = sum(path.is_file() for path in Path("../remote").rglob("*"))
    with pytest.raises(branches.UnknownNeeds, match="Nothing was removed"):
        remotes.collect(retention.names(ledger.read("digits")), "store")
    assert sum(path.is_file() for path in Path("../remote").rglob("*")) == there


@pytest.mark.parametrize("remote", [None, "elsewhere"])
def test_without_a_remote_the_remedy_is_named(clone: Path, remote: str | None) -> None:
    Path(".dvc/config").write_text("")
    with pytest.raises(remotes.RemoteFault, match="dvc remote add -d"):
        remotes.push(retention.names(ledger.read("digits")), remote)
    found = rebuild.rebuild(["digits"], remote)
    assert [(back.model, back.data) for back in found] == [(rebuild.ABSENT, rebuild.ABSENT)] * 2


@pytest.mark.parametrize("content", ["<<<<<<< HEAD\nschema: '2.0'\n", "stages: 1", "stages: {train: {outs: [{path: x}]}}"])
def test_a_lock_that_dvc_did_not_write_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.chdir(tmp_path)
    dvc_lock.LOCK.write_text(content)
    with pytest.raises(dvc_lock.BrokenLock, match="make verify"):
        dvc_lock.hash_of(Path("data/digits"))


def shared(project: Path) -> None:
    """The project's cache is the one that is shared, beside it."""
    (project / ".dvc/config.local").write_text(f"[cache]\n    dir = {project.parent}/shared\n")


def test_a_cache_elsewhere_holds_its_own(fetched: ledger.Line, tmp_path: Path) -> None:
    shared(tmp_path / "clone")
    remotes.fetch([str(fetched["dvc"])])
    retention.retain([fetched])
    assert cache.path_of(onnx(fetched)).samefile(tmp_path / "shared/held" / onnx(fetched))


def cached_as(name: str, content: bytes) -> None:
    cache.path_of(name).parent.mkdir(parents=True, exist_ok=True)
    cache.path_of(name).write_bytes(content)


def test_a_cache_of_several_projects_is_collected_for_all_of_them(fetched: ledger.Line, tmp_path: Path) -> None:
    """The other one has a version that only its working folder knows, and another in a commit of a branch."""
    mine, other = tmp_path / "clone", tmp_path / "other"
    done(tmp_path, "git", "clone", "-q", str(mine), str(other))
    shared(mine)
    shared(other)
    names = retention.names(ledger.read("digits"))
    remotes.fetch(names)
    theirs = ["a1" * 16, "a2" * 16]
    for name in theirs:
        cached_as(f"{name}.dir", b"[]")  # its name is not its content's: it is damaged
    unused = "a3" * 16
    cached_as(unused, b"unused")
    line = folders.canonical({"dvc": f"{theirs[0]}.dir"})
    (other / "registry/digits.jsonl").write_text(line)
    with pytest.raises(remotes.SharedCache, match=r"shared.* is outside of this project.*make gc projects="):
        remotes.collect(names)
    with pytest.raises(branches.UnknownNeeds, match=theirs[0]):
        remotes.collect(names, projects=[other])
    assert cache.path_of(unused).is_file()
    empty = "d751713988987e9331980363e24189ce"  # MD5 of an empty list
    cached_as(f"{empty}.dir", b"[]")
    (other / "registry/digits.jsonl").write_text(line.replace(theirs[0], empty))
    done(other, "git", *COMMIT, "-qam", "theirs")
    done(other, "git", "checkout", "-q", "HEAD~")
    assert remotes.collect(names, projects=[Path("../other"), Path()]) == {"cache": 3}
    assert cache.path_of(f"{empty}.dir").is_file() and not cache.path_of(unused).exists()
    assert retention.lacking(names) == []
    assert remotes.collect(names, projects=[Path()]) == {"cache": 1}


def test_a_named_project_on_another_cache_is_refused(fetched: ledger.Line, tmp_path: Path) -> None:
    done(tmp_path, "git", "clone", "-q", "clone", "other")
    with pytest.raises(remotes.SharedCache, match="uses another cache"):
        remotes.collect(retention.names(ledger.read("digits")), projects=[tmp_path / "other"])


def test_needs_are_those_of_every_ref_a_stash_a_lone_commit_and_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in ("git init -q", "git config user.name test", "git config user.email test@localhost"):
        done(tmp_path, *words.split())
    Path("registry").mkdir()

    def need(name: str) -> None:
        Path("registry/digits.jsonl").write_text(folders.canonical({"dvc": f"{name * 16}.dir"}))
        done(tmp_path, "git", "add", "-A")

    need("a1")
    assert branches.needed() == [f"{'a1' * 16}.dir"]  # no commit yet
    done(tmp_path, *COMMIT_ALL)
    done(tmp_path, "git", "tag", "-a", "-m", "a file", "blob", done(tmp_path, "git", "rev-parse", "HEAD:registry/digits.jsonl").strip())
    need("a2")
    done(tmp_path, *COMMIT_ALL)
    done(tmp_path, "git", "tag", "-a", "-m", "a release", "release")
    done(tmp_path, "git", "reset", "-q", "--hard", "HEAD~")
    need("a3")
    done(tmp_path, "git", "stash", "-q")
    done(tmp_path, "git", "checkout", "-q", "--detach")
    need("a4")
    done(tmp_path, *COMMIT_ALL)
    need("a5")
    assert sorted(branches.needed()) == [f"{name * 16}.dir" for name in ("a1", "a2", "a3", "a4", "a5")]


def not_installed(patch: pytest.MonkeyPatch) -> None:
    patch.setenv("PATH", "/nowhere")


def not_a_repository(_: pytest.MonkeyPatch) -> None:
    shutil.rmtree(".git")


def a_lost_commit(_: pytest.MonkeyPatch) -> None:
    Path(".git/refs/heads/lost").write_text("0123456789" * 4 + "\n")


@pytest.mark.parametrize("fault", [git_refuses, not_installed, not_a_repository, a_lost_commit])
def test_nothing_is_collected_where_git_does_not_answer(clone: Path, monkeypatch: pytest.MonkeyPatch, fault: Any) -> None:
    cached_as("a3" * 16, b"of another branch")
    fault(monkeypatch)
    with pytest.raises((git.Unusable, remotes.RemoteFault), match="the same command again"):
        remotes.collect([])
    assert cache.path_of("a3" * 16).is_file()
