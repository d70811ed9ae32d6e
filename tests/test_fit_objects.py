"""The training of objects, in processes of its own: several share one training, and a killed one ends as if it had not been."""

import json
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pipelines import folders
from tests import killed
from tests.conftest import embedded_data, environment

pytestmark = pytest.mark.slow

PAGES = '["family=objects", "run=smoke", "data.sources=[embedded]", "data.limit=200", "model.widths=[8, 16, 16]"]'
SHARED = f"""
from pathlib import Path
import torch
from safetensors.torch import save_file
from torch import nn
from pipelines import configs, devices; from pipelines.training import checkpoints
from pipelines.families.objects import fit
from pipelines.training.session import Training

nn.BatchNorm2d = lambda width: nn.Identity()  # each process would take the mean of its own pictures
recipe = "fit.border=mirrored fit.optimizer=sgd fit.learning_rate=0.05 fit.precision=float32 fit.batch=40 fit.epochs=2 model.dropout=0"
cfg = configs.compose([*{PAGES}, "candidate=objects-simple", *recipe.split()])
build = fit.models.build

def kept(name, network):
    save_file(checkpoints.contiguous(network.state_dict()), f"{{name}}.safetensors")
    return network

def trained(name, device):
    fit.models.build = lambda *words: kept(f"{{name}}-before", build(*words))
    kept(f"{{name}}-after", fit._trained(cfg, cfg.data_folder, device, Training(Path(name)))[0])

trained(f"shared-{{devices.rank()}}", fit._joined())
if devices.rank() == 0:
    trained("alone", torch.device("cpu"))
"""
RESUMED = f"""
import sys
import torch
from pipelines import configs
from pipelines.families.objects import fit
from tests import killed

for candidate in sys.argv[1:]:
    cfg = configs.compose([*{PAGES}, f"candidate={{candidate}}", "fit.epochs=3", "fit.batch=50"])
    train = lambda log: fit._trained(cfg, cfg.data_folder, torch.device("cpu"), log)[0].state_dict()
    killed.compared(train, dict, candidate)
"""
# Pictures that say of each pixel where it was: red is its row, green its column, from 1 on; black is beyond the border.
BORDERED = f"""
import torch
from pipelines import configs
from pipelines.families.objects import fit

cfg = configs.compose([*{PAGES}, "candidate=objects-simple"])
along = torch.arange(1, 33, dtype=torch.uint8)
here = torch.full((32, 32), 9, dtype=torch.uint8)
pictures = torch.stack([along[:, None].expand(32, 32), along.expand(32, 32), here]).expand(64, 3, 32, 32)
moved = fit._augmented(cfg, pictures, torch.Generator().manual_seed(0), 1)
found = set()
for rows, columns, there in moved.int():
    assert ((there == 9) == (rows > 0)).all() and ((there == 9) == (columns > 0)).all()
    down = (rows - along.int()[:, None])[there == 9].unique()
    assert len(down) == 1 and abs(down.item()) <= 4
    steps = columns[there.any(1)][0][there.any(0)].diff().unique()
    assert steps.item() in (-1, 1)
    found.add((down.item(), steps.item()))
assert len(found) > 12, found

whitened = []
network = fit.models.build(configs.compose([*{PAGES}, "candidate=objects-fast"]).model, 10, [0.5] * 3, [0.2] * 3)
network.whiten = lambda pictures: whitened.extend(pictures[:, 0, 0, 0].tolist())
fit.WHITENED, fit._epoch = 50, None
sorted_by_class = fit.Pictures(torch.arange(200, dtype=torch.uint8)[:, None, None, None].expand(200, 3, 32, 32), torch.arange(200) // 20)
training = type("None", (), {{"checkpoint": None, "remaining": lambda epochs: []}})
fit._train(configs.compose([*{PAGES}, "candidate=objects-fast"]), network, sorted_by_class, sorted_by_class, training)
assert whitened == list(range(0, 200, 4)), whitened
"""
REFUSED = """
import re, sys
from pipelines import configs
from pipelines.training import pretrained
from pipelines.families.objects import model
try:
    model.build(configs.compose(sys.argv[2:]).model, 10, [0.5] * 3, [0.2] * 3)
except pretrained.MissingWeights as error:
    assert re.search(sys.argv[1], str(error)), error
else:
    raise SystemExit("they were taken")
"""
CANDIDATES = ("objects-fast", "objects-simple")  # SGD with momentum and a layer that does not learn; Adam


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/objects/ with few drawn shapes, in a folder of its own."""
    folder = tmp_path_factory.mktemp("project")
    with chdir(folder):
        embedded_data("objects")
    return folder


def python(folder: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def weights(folder: Path, name: str) -> np.ndarray:
    """All of a network's tensors as one row."""
    tensors = load_file(folder / f"{name}.safetensors")
    return np.concatenate([tensors[key].astype(float).ravel() for key in sorted(tensors)])


def test_two_processes_go_the_same_way_as_one(project: Path) -> None:
    """Gradients are averaged: each of two, with half of every batch, ends where one process ends that has the whole batches."""
    (project / "shared.py").write_text(SHARED)
    python(project, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "shared.py")
    before, alone, first, second = (weights(project, name) for name in ("alone-before", "alone-after", "shared-0-after", "shared-1-after"))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, alone, atol=1e-4)
    assert np.abs(alone - before).max() > 1e-2
    assert [(project / f"shared-{rank}" / "epoch-000002" / "history.jsonl").exists() for rank in (0, 1)] == [True, False]


def test_pictures_are_moved_over_a_black_border_and_whitening_sees_every_class(project: Path) -> None:
    python(project, "-c", BORDERED)


@pytest.mark.parametrize(("name", "words"), [("conv1.weight", "torchvision's resnet18"), (None, "no \\.safetensors file")])
def test_weights_that_are_named_and_not_those_are_refused(project: Path, name: str | None, words: str) -> None:
    file = project / "given.safetensors"
    file.write_bytes(b"no tensors" if name is None else b"")
    if name:
        save_file({name: np.zeros(3, np.float32)}, file)
    named = [f"model.weights={file.name}", f"model.weights_sha256={folders.sha256(file)}"]
    python(project, "-c", REFUSED, words, "family=objects", "candidate=objects-resnet18", *named)


def test_a_killed_training_ends_where_an_undisturbed_one_does(project: Path) -> None:
    lines = [json.loads(line) for line in python(project, "-c", RESUMED, *CANDIDATES).splitlines()]
    for found in lines:
        killed.ended_alike(found, [3, 1, 3])
    assert len(lines) == len(CANDIDATES)
