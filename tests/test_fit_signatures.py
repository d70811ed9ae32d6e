"""The training of signatures: where a distorted page's boxes go, what the loss asks for, and what a killed training comes to."""

import json
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest

from pipelines.families.signatures.parts import pages
from pipelines.families.signatures.parts.pages import Labelled
from pipelines.families.signatures.settings import Distortion
from tests import killed
from tests.conftest import embedded_data, environment

STILL = Distortion(rotation=0, scale=0, shift=0, ink=0, light=0, blur=0, noise=0, jpeg=0)
BOX = np.array([[0.25, 0.5, 0.25, 0.125]], np.float32)
PAGES = '["family=signatures", "candidate=signatures-all", "run=smoke", "data.sources=[embedded]", "model.side=96", "fit.epochs=3"]'
LOSS = f"""
import torch
from pipelines import configs
from pipelines.families.signatures import model
from pipelines.families.signatures.parts.loss import _assigned, loss

cfg = configs.compose({PAGES})
text = model.described(cfg.model.model_copy(update={{"anchors": "standard"}}), None)
network = model.build(cfg.model, text)
truth = torch.tensor([[0, 0.5, 0.25, 37 / 96, 58 / 96], [1, 0.1, 0.9, 0.1, 0.1], [1, 1.0, 1.0, 0.2, 0.1]])
raws = [torch.zeros(2, 18, 96 // head.stride, 96 // head.stride) for head in network.heads]

def with_answers(objectness):
    # Every asked place answers its box exactly, every other one says there is nothing.
    for head, raw, given in zip(network.heads, raws, _assigned(cfg.fit, network, raws, truth), strict=True):
        values = raw.view(2, 3, 6, *raw.shape[2:])
        values[:, :, 4], values[:, :, 5] = -objectness, 5.3
        for page, anchor, row, column, box in zip(*given, strict=True):
            shape = torch.tensor(head.anchors[anchor]) / head.stride
            inside = (box[:2] - torch.tensor([column, row]) + (head.scale - 1) / 2) / head.scale
            values[page, anchor, :2, row, column] = torch.logit(inside.clamp(1e-4, 1 - 1e-4))
            values[page, anchor, 2:4, row, column] = (box[2:] / shape).log()
            values[page, anchor, 4, row, column] = objectness
    return loss(cfg.fit, network, raws, truth)

given = _assigned(cfg.fit, network, raws, truth)
pairs = [(head, found) for head, found in zip(network.heads, given, strict=True)]
asked = {{(int(page), head.anchors[anchor]) for head, found in pairs for page, anchor in zip(found.page, found.anchor)}}
assert (0, (37, 58)) in asked and {{page for page, _ in asked}} == {{0, 1}}, asked
total, parts = with_answers(12.0)
assert total < 0.2 and parts["box"] < 0.02 and parts["objectness"] < 0.01, parts
assert with_answers(-3.0)[0] > 10 * total
empty, _ = loss(cfg.fit, network, raws, truth[:0])
assert empty.isfinite() and empty > 0
"""
RESUMED = f"""
import torch
from pipelines import configs
from pipelines.families.signatures import fit
from pipelines.families.signatures.examples import load
from tests import killed

cfg = configs.compose({PAGES})
valid = load(cfg.data_folder, "valid")
killed.compared(lambda log: fit._trained(cfg, cfg.data_folder, valid, torch.device("cpu"), log)[1].state_dict(), dict)
"""
FULL = f"""
import torch
from pipelines import configs
from pipelines.families.signatures import fit, model
from pipelines.families.signatures.examples import load

cfg = configs.compose([*{PAGES}, "model.network=yolov4", "model.anchors=standard", "fit.batch=2"])
torch.manual_seed(0)
network = model.build(cfg.model, model.described(cfg.model, None)).train()
assert sum(value.numel() for value in network.parameters()) > 60_000_000 and len(network.heads) == 3
optimizer = fit._optimizer(cfg.fit, network)
batch = next(fit._batches(cfg, fit._pages(load(cfg.data_folder, "train"), cfg.fit.sources, 96), 1))
losses = [float(fit._step(cfg.fit, network, optimizer, batch)["loss"]) for _ in range(2)]
still = [name for name, value in network.named_parameters() if not (value.grad.isfinite().all() and value.grad.any())]
assert not still and all(0 < loss < 100 for loss in losses), (still, losses)
"""
REFUSED = """
import sys
from pipelines import configs
from pipelines.families.signatures import fit
from pipelines.families.signatures.examples import Split, load
try:
    fit._pages(Split([page._replace(source="letters") for page in load(configs.Path("data/signatures"), "train").pages]), {"gsa": 1.0}, 96)
except fit.NoPages as error:
    assert "gsa" in str(error) and "letters" in str(error), error
else:
    raise SystemExit("they were taken")
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/signatures/ with few drawn letters, in a folder of its own."""
    folder = tmp_path_factory.mktemp("project")
    with chdir(folder):
        embedded_data("signatures")
    return folder


def python(folder: Path, code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def marked(boxes: np.ndarray, height: int = 400, width: int = 300) -> Labelled:
    """A white page that is black where its boxes are."""
    picture = np.full((height, width), 255, np.uint8)
    for x, y, w, h in (boxes * [width, height, width, height]).round().astype(int):
        picture[y : y + h, x : x + w] = 0
    return Labelled(picture, boxes)


def around(picture: np.ndarray) -> np.ndarray:
    """The box around what is dark, as fractions."""
    rows, columns = np.flatnonzero((picture < 128).any(1)), np.flatnonzero((picture < 128).any(0))
    corner, far = np.array([columns[0], rows[0]]), np.array([columns[-1] + 1, rows[-1] + 1])
    return np.concatenate([corner, far - corner]) / picture.shape[0]


@pytest.mark.parametrize(
    "told", [{}, {"rotation": 6}, {"scale": 0.4}, {"shift": 0.1}, {"rotation": 4, "scale": 0.2, "shift": 0.1}], ids=str
)
def test_boxes_go_where_the_ink_goes(told: dict[str, float]) -> None:
    for seed in range(20):
        moved = pages.distorted(marked(BOX), [], STILL.model_copy(update=told), 200, np.random.default_rng(seed))
        assert moved.picture.shape == (200, 200)
        np.testing.assert_allclose(moved.boxes[0], around(moved.picture), atol=0.012)


def test_a_page_that_nothing_is_done_to_is_only_brought_to_its_square() -> None:
    moved = pages.distorted(marked(BOX, 200, 200), [], STILL, 200, np.random.default_rng(0))
    np.testing.assert_array_equal(moved.picture, marked(BOX, 200, 200).picture)
    np.testing.assert_allclose(moved.boxes, BOX, atol=1e-6)


def test_a_box_that_is_pushed_over_the_edge_is_cut_or_dropped() -> None:
    cut = pages._cut(np.array([[-0.1, 0.2, 0.3, 0.4], [-0.5, 0.2, 0.1, 0.4], [0.9, 0.9, 1.05, 1.05]]))
    np.testing.assert_allclose(cut, [[0, 0.2, 0.3, 0.2], [0.9, 0.9, 0.1, 0.1]], atol=1e-6)


def test_ink_of_another_page_is_put_where_nothing_is_signed() -> None:
    for seed in range(20):
        page = pages._pasted(marked(BOX), [marked(BOX)], np.random.default_rng(seed))
        assert len(page.boxes) in (1, 2)
        if len(page.boxes) == 2:
            assert not pages._touching(page.boxes[1:], page.boxes[:1])
            assert (page.picture < 128).sum() == 2 * (marked(BOX).picture < 128).sum()


def test_a_mosaic_holds_four_pages_and_their_boxes() -> None:
    four = pages._mosaic([marked(BOX, 200, 200)] * 4)
    assert four.picture.shape == (200, 200)
    np.testing.assert_allclose(four.boxes[:, :2], (BOX[:, :2] + [[0, 0], [1, 0], [0, 1], [1, 1]]) / 2)


def test_a_scan_keeps_the_boxes_and_changes_the_ink() -> None:
    told = STILL.model_copy(update={"ink": 0.3, "light": 0.5, "blur": 1, "noise": 1, "jpeg": 1})
    first, again, other = (pages.distorted(marked(BOX), [], told, 200, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.picture, again.picture)
    assert (first.picture != other.picture).any()
    np.testing.assert_array_equal(first.boxes, other.boxes)


@pytest.mark.slow
def test_the_loss_is_least_where_every_box_is_answered(project: Path) -> None:
    python(project, LOSS)


@pytest.mark.slow
def test_steps_of_the_full_yolov4_reach_every_weight(project: Path) -> None:
    python(project, FULL)


@pytest.mark.slow
def test_sources_without_a_page_are_refused_by_name(project: Path) -> None:
    python(project, REFUSED)


@pytest.mark.slow
def test_a_killed_training_ends_where_an_undisturbed_one_does(project: Path) -> None:
    found = json.loads(python(project, RESUMED).splitlines()[-1])
    killed.ended_alike(found, [3, 1, 3], 1e-3)
