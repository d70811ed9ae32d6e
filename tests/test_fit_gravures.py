"""The training of gravures: what a batch and a loss are made of, which classes a fold leaves out, and what a killed training comes to."""

import json
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest

from pipelines import configs, discovery, folders
from pipelines.families.gravures import data
from pipelines.families.gravures.examples import CONVENTION, SPLITS, load
from pipelines.families.gravures.parts import batches, unseen
from tests import killed
from tests.conftest import environment

SMALL = ["fit.batch=32", "fit.each=2", "fit.symbols=6", "fit.oversample=1", "fit.folds=2", "fit.epochs=2", "fit.tuning=1", "model.hidden=8"]
PAGES = json.dumps(["family=gravures", "candidate=gravures-similarity", "run=smoke", "data.sources=[embedded]", *SMALL])
RESUMED = f"""
import json
import torch
from pipelines import configs
from pipelines.families.gravures import fit
from pipelines.families.gravures.examples import load
from tests import killed

cfg = configs.compose({PAGES})
train, valid = load(cfg.data_folder, "train"), load(cfg.data_folder, "valid")

def answers(learner):
    kept = {{f"{{part}}.{{name}}": value for part, tensors in learner.done.items() for name, value in tensors.items()}}
    return {{**learner.folds, **kept}}

def trained(log):
    return fit._trained(cfg, cfg.data_folder, train, valid, torch.device("cpu"), log)

learner = killed.compared(trained, answers, kills=(1, 2, 3, 4))
print(json.dumps(sorted([*learner.done, *learner.folds])))
"""
LEARNED = f"""
import json, sys
import torch
from pipelines import configs
from pipelines.families.gravures import fit

found = {{}}
for candidate in sys.argv[1:]:
    cfg = configs.compose([*{PAGES}, f"candidate={{candidate}}"])
    loss, apart = fit.Loss(cfg.fit), torch.nn.functional.normalize(torch.randn(16, 4, generator=torch.Generator().manual_seed(1)))
    labels = torch.arange(8).repeat_interleave(2)
    values = []
    torch.manual_seed(0)
    for _ in range(40):
        apart.requires_grad_(True)
        value = loss(torch.nn.functional.normalize(apart), labels)
        values.append(float(value))
        apart = (apart - 0.5 * torch.autograd.grad(value, apart)[0]).detach()
    near = torch.nn.functional.normalize(apart) @ torch.nn.functional.normalize(apart).T - 2 * torch.eye(16)
    found[candidate] = {{"values": values[:1] + values[-1:], "right": int((labels[near.argmax(1)] == labels).sum())}}
print(json.dumps(found))
"""
HAND = """
import torch
from pipelines.families.gravures.parts.distortion import Hand, widened
from pipelines.families.gravures.settings import Distortion

page = torch.zeros(400, 64, 64, dtype=torch.uint8)
page[:, 30:33, 16:48] = 255
still = Hand(Distortion(rotation=0, shear=0, shift=0, scale=0, perspective=0, elastic=0, width=0, ink=0))
torch.manual_seed(0)
assert (still(page) - page[:, None] / 255).abs().max() < 0.01
moved = Hand(Distortion(rotation=12, shear=8, shift=0.06, scale=0.15, perspective=0.2, elastic=2, width=0.5, ink=0.3))(page)
assert moved.shape == (400, 1, 64, 64) and moved.min() >= 0 and moved.max() <= 1
assert moved.flatten(1).unique(dim=0).shape[0] > 390 and (moved.flatten(1).max(1)[0] > 0.2).all()
ink = widened(page[:, None] / 255, 1.0).flatten(1).sum(1)
thin, line, wide = 30.0, 96.0, 5 * 34.0
assert ink.min() >= thin and ink.max() <= wide + 1 and (ink < line - 5).any() and (ink > line + 5).any(), (ink.min(), ink.max())
assert torch.equal(widened(page[:, None] / 255, 0.0), page[:, None] / 255)
"""
REFUSED = """
import re, sys
from pipelines import configs
from pipelines.training import pretrained
from pipelines.families.gravures import model
try:
    model.build(configs.compose(sys.argv[2:]).model)
except pretrained.MissingWeights as error:
    assert re.search(sys.argv[1], str(error)), error
else:
    raise SystemExit("they were taken")
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/gravures/ with few embedded engravings, in a folder of its own."""
    folder = tmp_path_factory.mktemp("project")
    cfg = configs.compose([*json.loads(PAGES), "data.limit=100"])
    with chdir(folder), folders.replacing(cfg.data_folder) as out:
        data.prepare(cfg, out)
    return folder


def python(folder: Path, *words: str) -> str:
    told = environment(OMP_NUM_THREADS="1")
    done = subprocess.run([sys.executable, *words], cwd=folder, env=told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_killed_training_ends_where_an_undisturbed_one_does(project: Path) -> None:
    """Killed within a part, at a part's end, and between folds."""
    found, parts = map(json.loads, python(project, "-c", RESUMED).splitlines())
    killed.ended_alike(found, [5, 1, 2, 3, 4, 5])
    assert parts == ["characters", "fold 0", "fold 1", "whole"]


@pytest.mark.slow
def test_every_loss_brings_the_drawings_of_a_class_together(project: Path) -> None:
    candidates = discovery.candidates("gravures")
    found = json.loads(python(project, "-c", LEARNED, *candidates))
    assert set(found) == set(candidates)
    for candidate, seen in found.items():
        assert seen["right"] >= 14 and seen["values"][1] < seen["values"][0], (candidate, seen)


@pytest.mark.slow
def test_another_hand_distorts_and_leaves_the_ink_on_the_page(project: Path) -> None:
    python(project, "-c", HAND)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "words"), [("features.0.0.weight", "torchvision's efficientnet_b0"), (None, "no \\.safetensors file")])
def test_weights_that_are_named_and_not_those_are_refused(project: Path, name: str | None, words: str) -> None:
    from safetensors.numpy import save_file

    file = project / "given.safetensors"
    file.write_bytes(b"no tensors" if name is None else b"")
    if name:
        save_file({name: np.zeros(3, np.float32)}, file)
    named = [f"model.weights={file.name}", f"model.weights_sha256={folders.sha256(file)}"]
    python(project, "-c", REFUSED, words, "family=gravures", "candidate=gravures-similarity", *named)
    python(project, "-c", REFUSED, "no such file", "family=gravures", "candidate=gravures-similarity", "model.weights=none.st", named[1])


def test_each_class_is_left_out_of_one_fold(project: Path) -> None:
    train = load(project / "data/gravures", "train")
    held = unseen.folds(train.labels, 5)
    assert sorted(label for classes in held.values() for label in classes) == np.unique(train.labels).tolist()
    assert len({len(classes) for classes in held.values()}) <= 2
    assert unseen.folds(train.labels[::-1], 5) == held
    counts = [len(load(project / "data/gravures", split)) for split in SPLITS]
    assert len(unseen.drawings(project / "data/gravures")) == sum(counts)


def test_fifty_one_classes_are_left_out_by_tens() -> None:
    assert sorted(map(len, unseen.folds(np.arange(51), 5).values())) == [10, 10, 10, 10, 11]


def test_a_batch_shows_every_class_as_often_as_any_other() -> None:
    """Three drawings of one class, ten of another: none is shown twice before all were."""
    images = np.arange(13, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    found = batches.sampled(np.random.default_rng(0), batches.pool(images, np.array([0] * 3 + [1] * 10)), 2, 4, False)
    rows = sorted(sorted(np.unique(pictures[:, 0, 0]).tolist()) for pictures in found)
    assert rows[0] == [0, 1, 2] and len(rows[1]) == 4 and set(rows[1]) <= set(range(3, 13))
    batch = batches.stacked(found)
    assert batch.images.shape == (8, 4, 4) and batch.labels.tolist() == [0] * 4 + [1] * 4


def test_a_turned_class_is_turned_as_a_whole() -> None:
    corner = np.zeros((6, 4, 4), np.uint8)
    corner[:, 0, 0] = 255
    seen = set()
    for seed in range(20):
        (pictures,) = batches.sampled(np.random.default_rng(seed), batches.pool(corner, np.zeros(6, int)), 1, 6, True)
        places = {tuple(np.argwhere(picture)[0].tolist()) for picture in pictures}
        assert len(places) == 1
        seen |= places
    assert seen == {(0, 0), (0, 3), (3, 0), (3, 3)}


def test_made_up_symbols_are_the_same_for_a_seed_and_others_for_another() -> None:
    first, again, other = (batches.generated(3, CONVENTION, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.images, again.images)
    assert first.images.shape == (3 * batches.HANDS, CONVENTION.side, CONVENTION.side)
    assert not np.array_equal(first.images, other.images)
