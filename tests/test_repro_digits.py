"""digits by real DVC, in a repository of its own: trained, killed, resumed, edited, tried out, restored."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pipelines.models import manifests
from tests import repro
from tests.conftest import commit, environment, git
from tests.repro import dvc, python

pytestmark = pytest.mark.slow
CANDIDATES = repro.architectures("digits")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repro.clone(tmp_path_factory.mktemp("clone"), CANDIDATES)


def test_a_killed_training_goes_on_from_its_last_epoch(clone: Path) -> None:
    repro.killed_and_resumed(clone, "digits-adam")


def test_repro_trains_compares_and_promotes(clone: Path) -> None:
    printed = dvc(clone, "repro").replace("\n", " ")
    assert repro.promoted(clone, "digits")["words"].split(";")[0] in printed
    assert [candidate for candidate in CANDIDATES if candidate not in printed] == []
    commit(clone)


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_every_network_keeps_the_contract(clone: Path, candidate: str) -> None:
    repro.complete(clone, candidate)
    repro.scored_by_what_is_served(clone, candidate)
    repro.mistakes_are_drawn(clone, candidate)


def test_trained_again_it_is_the_same_model(clone: Path, tmp_path: Path) -> None:
    repro.the_same_elsewhere(clone, CANDIDATES[0], tmp_path / "elsewhere")


def test_sheets_plots_and_model_are_beside_every_run(clone: Path) -> None:
    repro.in_mlflow(clone, "digits", CANDIDATES)


def test_nothing_changed_nothing_runs(clone: Path) -> None:
    lock = (clone / "dvc.lock").read_text()
    printed = dvc(clone, "repro")
    assert printed.count("nothing to decide") == 1
    assert set(re.findall(r"Running stage '([^']+)'", printed)) == repro.always("digits")
    assert (clone / "dvc.lock").read_text() == lock


def test_editing_a_candidate_reruns_that_candidate_alone(clone: Path) -> None:
    assert repro.edited(clone, "digits-adam", "dropout: 0.3") == {"train@digits-adam", *repro.always("digits")}


def test_an_experiment_compares_and_promotes_nothing(clone: Path) -> None:
    ledger = (clone / "registry/digits.jsonl").read_text()
    dvc(clone, "exp", "run", "-S", "conf/candidate/digits-adam.yaml:fit.learning_rate=0.01", "-n", "faster", "promote@digits")
    assert (clone / "registry/digits.jsonl").read_text() == ledger
    assert "fit.learning_rate" in dvc(clone, "params", "diff", "HEAD")
    assert re.search(r"metrics/digits-adam\.json +valid ", dvc(clone, "metrics", "diff", "HEAD"))
    assert "faster" in dvc(clone, "exp", "show", "--csv")
    git(clone, "checkout", "--", ".")
    dvc(clone, "checkout", "--force")


def test_an_experiment_beside_the_project_changes_nothing_here(clone: Path) -> None:
    before = state(clone)
    words = ("experiment", "digits", "--set", "digits-adam:fit.learning_rate=0.02", "--name", "beside")
    done = python(clone, "-m", "atelier", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert state(clone) == before and git(clone, "status", "--porcelain") == ""
    assert not list((clone / ".dvc/tmp/exps/standalone").glob("tmp*"))
    assert "beside" in done.stdout and "beside" in dvc(clone, "exp", "show", "--csv")


def state(folder: Path) -> dict[Path, bytes]:
    """Every file that an experiment must leave as it is."""
    places = [folder / name for name in ("conf", "data", "models", "registry", "reports", "mlruns/artifacts")]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    return {path: path.read_bytes() for path in [*files, folder / "dvc.lock"]}


def test_an_ingest_that_fails_leaves_the_data_that_is_packed(clone: Path) -> None:
    """DVC removes other outputs before it runs a stage."""
    before = state(clone)
    change = "conf/run/short.yaml:data.sources=[folder]"
    done = subprocess.run(["dvc", "exp", "run", "-S", change, "promote@digits"], cwd=clone, env=environment(), check=False)
    git(clone, "checkout", "--", ".")
    assert done.returncode and state(clone) == before


def test_metrics_and_plots_show_something(clone: Path) -> None:
    assert "accuracy" in dvc(clone, "metrics", "show")
    assert "promote@digits" in dvc(clone, "dag")
    dvc(clone, "plots", "show", "-o", "plots")
    page = (clone / "plots/index.html").read_text().replace("\\\\", "/").replace("\\/", "/")
    for candidate in CANDIDATES:
        assert [name for name in ("confusion", "classes") if f"{candidate}/{name}.csv" not in page] == []


def test_what_was_deleted_comes_back_out_of_the_cache(clone: Path) -> None:
    repro.restored_from_the_cache(clone, "digits")


def test_a_broken_link_is_found_and_ends_with_1(clone: Path) -> None:
    images = clone / "data/digits/train-images.npy"
    images.chmod(0o644)
    content = images.read_bytes()
    images.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    walked = python(clone, "-m", "atelier", "lineage", "digits@v1")
    images.write_bytes(content)
    assert walked.returncode == 1
    assert "broken" in walked.stdout
    assert "train-images.npy" in walked.stdout


def test_a_family_whose_data_is_missing_stops_no_other(clone: Path) -> None:
    settings = (clone / "conf/family/digits.yaml").read_text()
    (clone / "conf/family/broken.yaml").write_text(settings.replace("family: digits", "family: broken"))
    pipeline = (clone / "dvc.yaml").read_text()
    (clone / "dvc.yaml").write_text(pipeline.replace("foreach: &families [", "foreach: &families [broken, "))
    done = subprocess.run(["dvc", "repro", "--keep-going"], cwd=clone, env=environment(), capture_output=True, text=True, check=False)
    upstream = dvc(clone, "dag", "promote@digits")
    (clone / "dvc.yaml").write_text(pipeline)
    (clone / "conf/family/broken.yaml").unlink()
    assert done.returncode
    assert "ingest@broken" in done.stderr
    assert done.stdout.count("nothing to decide") == 1
    assert "train@digits-adam" in upstream
    assert "broken" not in upstream


def test_two_repros_at_once_end_well(clone: Path) -> None:
    """Each ends with success or with DVC's own word about the lock; what they leave is complete."""
    (clone / "conf/run/short.yaml").write_text((clone / "conf/run/short.yaml").read_text().replace("limit: 300", "limit: 301"))
    words = ["dvc", "repro", "ingest@digits"]
    both = [
        subprocess.Popen(words, cwd=clone, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)
    ]
    printed = [process.communicate()[0] for process in both]
    assert any(process.returncode == 0 for process in both), printed
    for process, words_of in zip(both, printed, strict=True):
        assert process.returncode == 0 or "lock" in words_of or "busy" in words_of, words_of
    assert len(np.load(clone / "data/digits/train-labels.npy")) == 301


def test_a_family_that_trains_in_one_process_says_so_under_torchrun(clone: Path) -> None:
    before = manifests.read(clone / "models/digits-adam")
    done = python(clone, *repro.TORCHRUN, "family=digits", "candidate=digits-adam", "run=both")
    assert done.returncode
    assert "digits trains in one process" in done.stderr
    assert "python -m pipelines.stages.train family=digits candidate=digits-adam" in done.stderr
    assert "AttributeError" not in done.stderr
    assert manifests.read(clone / "models/digits-adam") == before
    assert [row for row in repro.runs(clone, "digits") if row[2] == 3] == []
