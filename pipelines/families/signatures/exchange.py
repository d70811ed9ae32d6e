"""Training by Darknet: `export` writes the folder that it needs, `take` makes a model folder from its weights."""

import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines import folders
from pipelines.configs import Config
from pipelines.datasets import cards
from pipelines.families.signatures import fit, model
from pipelines.families.signatures.examples import LABELS, Page, load
from pipelines.families.signatures.parts import weights
from pipelines.families.signatures.parts.cfg import read
from pipelines.families.signatures.picture import in_fractions
from pipelines.models import manifests
from pipelines.tracking import client as tracking
from pipelines.training import records, session

READ = {"BMP": ".bmp", "JPEG": ".jpg", "PNG": ".png"}  # formats that every build of Darknet reads
ORIENTATION = 0x112  # of EXIF, which Darknet ignores


class FolderExists(FileExistsError):
    """A folder that an export would overwrite."""


class NothingPacked(FileNotFoundError):
    """No pages were ingested."""


def export(cfg: Config, out: Path) -> str:
    """Write the input of `darknet detector train obj.data network.cfg`, paths relative to the folder; the next commands as text.

    The cfg is that of a training here, with anchors of the training pages. Raises FolderExists, NothingPacked.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FolderExists(f"{out} exists and is not empty. Name a new folder.")
    train, valid = load(_packed(cfg), "train").of(cfg.fit.sources).pages, load(_packed(cfg), "valid").pages
    with folders.replacing(out) as draft:
        sizes = np.concatenate([in_fractions(page.boxes, page.height, page.width)[:, 2:] for page in train])
        (draft / "network.cfg").write_text(model.described(cfg.model, sizes))
        (draft / "obj.names").write_text("".join(f"{label}\n" for label in LABELS))
        (draft / "obj.data").write_text(f"classes={len(LABELS)}\ntrain=train.txt\nvalid=valid.txt\nnames=obj.names\nbackup=backup\n")
        (draft / "backup").mkdir()
        for split, pages in (("train", train), ("valid", valid)):
            _write_pages(draft, split, pages)
    return (
        f"{out}: {len(train)} pages to train on, {len(valid)} to validate. `cd {out} && darknet detector train obj.data network.cfg -map`; "
        f"then `make darknet-import candidate={cfg.candidate} cfg={out}/network.cfg "
        f"weights={out}/backup/network_best.weights`."
    )


def take(cfg: Config, text: Path, trained: Path) -> str:
    """Make models/<candidate>/ from weights that Darknet trained, exported and verified as those of any training; a summary.

    Raises BadNetwork, BadWeights, MissingFile or NothingPacked.
    """
    cfg = _as_trained(cfg, text, trained)
    network = model.build(cfg.model.model_copy(update={"weights": "none"}), read(text))
    weights.read(network, trained)
    data = _packed(cfg)
    card, begun = cards.read(data), records.begun(cfg.family, __spec__.name)
    tracking.mlflow()  # imported first: its seconds do not count as training
    training = session.under_way(cfg, card["hash"], folders.sha256(trained))
    with folders.replacing(cfg.model_folder) as out, tracking.live(cfg, card, training):
        if not training.history:
            training.epoch({"pictures_seen": weights.seen(trained)}, lambda _: None)
        description = fit.export(cfg, read(text), network, load(data, "valid"), out)
        session.write_history(out, training.history)
        records.write(out, training, begun)
        manifest = manifests.write(out, cfg, card["hash"], description)
    training.finish()
    return f"{cfg.model_folder}: digest {manifest['digest'][:12]}, export verified to {description.proof.difference:.1g}"


def _as_trained(cfg: Config, text: Path, trained: Path) -> Config:
    """The candidate with the cfg and the weights in its recipe. Raises MissingFile."""
    for path in (text, trained):
        if not path.is_file():
            raise model.MissingFile(f"{path} does not exist. Name the cfg that was exported, and the weights that Darknet wrote.")
    recipe = {"network": "cfg", "cfg": str(text), "weights": str(trained), "weights_sha256": folders.sha256(trained)}
    return cfg.model_copy(update={"run": "darknet", "model": cfg.model.model_copy(update=recipe)})


def _packed(cfg: Config) -> Path:
    if not (cfg.data_folder / cards.CARD).is_file():
        raise NothingPacked(f"{cfg.data_folder} does not exist. Ingest first: `dvc repro ingest@{cfg.family}`.")
    return cfg.data_folder


def _write_pages(folder: Path, split: str, pages: Sequence[Page]) -> None:
    """Write images, each with its label file, and their list <split>.txt."""
    (folder / split).mkdir()
    names = []
    for index, page in enumerate(pages):
        suffix, content = _readable(page)
        stem = f"{split}/{index:05}_{re.sub('[^A-Za-z0-9-]', '_', Path(page.name).stem)}"
        (folder / f"{stem}{suffix}").write_bytes(content)
        (folder / f"{stem}.txt").write_text(_labels(page))
        names.append(f"{stem}{suffix}\n")
    (folder / f"{split}.txt").write_text("".join(names))


def _readable(page: Page) -> tuple[str, bytes]:
    """The file, or a PNG where Darknet does not read the format or would not turn it upright."""
    with Image.open(io.BytesIO(page.content)) as picture:
        suffix = READ.get(str(picture.format))
        if suffix and picture.getexif().get(ORIENTATION, 1) == 1:
            return suffix, page.content
    drawn = io.BytesIO()
    Image.fromarray(page.grey()).save(drawn, "PNG")
    return ".png", drawn.getvalue()


def _labels(page: Page) -> str:
    """YOLO labels: class, centre and sides as fractions of the page."""
    boxes = in_fractions(page.boxes, page.height, page.width)
    return "".join(f"0 {x + w / 2:.6f} {y + h / 2:.6f} {w:.6f} {h:.6f}\n" for x, y, w, h in boxes)
