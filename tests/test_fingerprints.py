"""The fingerprint of a stage: other code that computes the same has the same one, code that computes something else has not."""

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines import discovery
from pipelines.fingerprints import canonical, fingerprint
from pipelines.fingerprints.fingerprint import PLUMBING, STAGES, ChangedMeanwhile, Code, ImportCycle
from pipelines.fingerprints.modules import ROOT, Module, Sources, UnknownModule
from pipelines.stages import code as stage
from tests.conftest import decided

NUMERIC = {"cv2", "keras", "numpy", "onnx", "onnxruntime", "PIL", "sklearn", "tensorflow", "torch", "torchvision"}
FIT = "pipelines/families/digits/fit.py"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project's code in a folder, to be edited."""
    shutil.copytree(ROOT / "pipelines", tmp_path / "pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def edited(copy: Path, file: str, old: str, new: str) -> None:
    text = (copy / file).read_text()
    assert old in text
    (copy / file).write_text(text.replace(old, new))


def file_of(name: str) -> str:
    return Sources().named(name).file.relative_to(ROOT).as_posix()


def aliased(copy: Path) -> None:
    """A library under a second name."""
    edited(copy, FIT, "import numpy as np\n", "import numpy as np\nimport numpy as numeric\n")
    edited(copy, FIT, "np.random.default_rng([cfg.seed, epoch, 1])", "numeric.random.default_rng([cfg.seed, epoch, 1])")


def moved(copy: Path) -> None:
    """Another name and place for a module, and for what imports it."""
    old, new = copy / file_of("pipelines.training.calibration"), copy / "pipelines/families/digits/heat.py"
    old.rename(new)
    edited(copy, FIT, "from pipelines.training import calibration\n", "from pipelines.families.digits import heat\n")
    edited(copy, FIT, "calibration.temperature", "heat.temperature")


SAME: dict[str, Callable[[Path], None]] = {
    "a comment": lambda copy: edited(copy, FIT, "\nTOLERANCE", "\n# of a probability\nTOLERANCE"),
    "a docstring": lambda copy: edited(copy, FIT, '"""The learning rate over all steps', '"""How fast it learns'),
    "a blank line": lambda copy: edited(copy, FIT, "    model = models.build(cfg.model)\n", "    model = models.build(cfg.model)\n\n"),
    "an alias": lambda copy: aliased(copy),
    "a lazy import": lambda copy: edited(copy, FIT, "    train, valid = load(", "    import numpy as np\n\n    train, valid = load("),
    "plumbing": lambda copy: edited(copy, file_of("pipelines.tracking.client"), "SAMPLING_SECONDS = 5", "SAMPLING_SECONDS = 6"),
    "another family": lambda copy: edited(copy, file_of("pipelines.metrics.detection"), "import", "import math\nimport"),
    "a move": moved,
}
OTHER: dict[str, Callable[[Path], None]] = {
    "an augmentation": lambda copy: edited(copy, FIT, "augment.rotation * np.pi / 180", "augment.rotation * np.pi / 90"),
    "a network": lambda copy: edited(copy, "pipelines/families/digits/model.py", "momentum=0.9", "momentum=0.99"),
    "a module that is imported": lambda copy: edited(copy, file_of("pipelines.training.calibration"), "def ", "BOUND = 9\n\n\ndef "),
    "a name of another module": lambda copy: edited(
        copy, FIT, "from pipelines.models.inference import session\n", "from pipelines.training.records import session\n"
    ),
    "another function of a library": lambda copy: edited(copy, FIT, "from tqdm import tqdm", "from tqdm.auto import tqdm"),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_what_computes_the_same_has_the_same_fingerprint(copy: Path, change: Callable[[Path], None]) -> None:
    before = Code("digits", copy).fingerprint("train")
    change(copy)
    assert Code("digits", copy).fingerprint("train") == before


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_what_computes_something_else_has_another(copy: Path, change: Callable[[Path], None]) -> None:
    before = Code("digits", copy).fingerprint("train")
    change(copy)
    assert Code("digits", copy).fingerprint("train") != before


def test_a_table_beside_a_module_that_reads_it_counts(copy: Path) -> None:
    before = Code("gravures", copy).fingerprint("ingest")
    with (copy / "pipelines/families/gravures/parts/tags.csv").open("a") as table:
        table.write("\n")
    assert Code("gravures", copy).fingerprint("ingest") != before


def test_what_is_imported_lazily_counts(copy: Path) -> None:
    edited(
        copy,
        "pipelines/families/digits/model.py",
        "    pixels = keras.Input",
        "    from pipelines.datasets import splits\n\n    pixels = keras.Input",
    )
    assert "pipelines.datasets.splits" in Code("digits", copy).modules("train")


def test_what_a_module_imports_for_others_alone_counts(copy: Path) -> None:
    before = Code("digits", copy).fingerprint("train")
    edited(copy, "pipelines/families/digits/model.py", "import keras\n", "import keras\nfrom math import floor as rounding\n")
    passed = Code("digits", copy).fingerprint("train")
    edited(copy, "pipelines/families/digits/model.py", "from math import floor", "from math import ceil")
    assert len({before, passed, Code("digits", copy).fingerprint("train")}) == 3


def test_the_closure_of_ocr_holds_its_network() -> None:
    found = set(Code("ocr").closure("train"))
    assert found >= {f"pipelines.families.ocr.parts.{part}" for part in ("trocr", "graphs", "initial_weights")}


@pytest.mark.parametrize("family", discovery.names())
def test_the_committed_fingerprints_are_those_of_the_code(family: str) -> None:
    for name in STAGES:
        committed = (ROOT / fingerprint.report(decided(family), name)).read_text()
        assert committed == Code(family).fingerprint(name), f"run `dvc repro code@{family}` and commit reports/{family}/code/"


@pytest.mark.parametrize("name", PLUMBING)
def test_plumbing_computes_nothing(name: str) -> None:
    imported = {target.partition(".")[0] for target in Sources().named(name).targets}
    assert not imported & NUMERIC


def test_plumbing_that_is_no_module_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "PLUMBING", (*PLUMBING, "pipelines.gone"))
    with pytest.raises(UnknownModule, match=r"pipelines\.gone is not a module of .*Was it moved or renamed"):
        Code("digits")


def test_a_model_that_imports_itself_in_a_cycle_is_named(copy: Path) -> None:
    edited(copy, "pipelines/families/digits/model.py", "import keras\n", "import keras\nfrom pipelines.families.digits import layers_of\n")
    (copy / "pipelines/families/digits/layers_of.py").write_text("from pipelines.families.digits import model\n\nFIRST = model.build\n")
    edited(copy, "pipelines/families/digits/model.py", "    pixels = keras.Input", "    layers_of.FIRST\n    pixels = keras.Input")
    with pytest.raises(ImportCycle, match=r"digits\.model imports itself: .*model -> .*layers_of -> .*model\. Move"):
        Code("digits", copy).fingerprint("train")


def test_a_family_module_of_a_computed_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "asking.py").write_text("from pipelines import families\n\nfamilies.part('digits', name='fit')\n")
    assert Module("asking", tmp_path / "asking.py").parts == {"fit"}
    (tmp_path / "asking.py").write_text("from pipelines import families\n\nfamilies.part('digits', 'f' + 'it')\n")
    with pytest.raises(UnknownModule, match=r"asking.py:3 imports a family module by a computed name"):
        Module("asking", tmp_path / "asking.py").parts  # noqa: B018


def test_star_imports_are_refused(tmp_path: Path) -> None:
    (tmp_path / "star.py").write_text("from math import *\n")
    with pytest.raises(UnknownModule, match=r"star.py imports math\.\*: write out the names"):
        Module("star", tmp_path / "star.py").bindings  # noqa: B018


def test_every_thing_that_is_imported_by_one_name_counts(copy: Path) -> None:
    """In two functions, or the branches of a `try`."""
    one = "def one():\n    from pipelines.datasets.splits import stable\n\n\n"
    two = "def two():\n    from math import exp as stable\n\n    stable(1)\n"
    fit = copy / FIT
    fit.write_text(fit.read_text() + one + two)
    code = Code("digits", copy)
    assert "pipelines.datasets.splits" in code.modules("train")
    edited(copy, FIT, "import exp as", "import log as")
    assert Code("digits", copy).fingerprint("train") != code.fingerprint("train")


def test_a_package_hides_a_module_of_its_name(tmp_path: Path) -> None:
    for file in ("pipelines/heat.py", "pipelines/heat/__init__.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("")
    assert Sources(tmp_path).named("pipelines.heat").file == tmp_path / "pipelines/heat/__init__.py"


def form(source: str) -> str:
    return canonical.text(ast.parse(source), lambda name: name)


def test_the_form_has_no_docstrings_imports_or_what_type_checkers_read() -> None:
    assert form('"""Said."""\nimport os\nif TYPE_CHECKING:\n    import sys\n') == ""
    assert form('def f():\n    """Said."""\n    return 1\n') == form("def f():\n    return 1\n")
    assert form("if TYPE_CHECKING:\n    import sys\nelse:\n    x = 1\n") == form("x = 1\n")
    assert form("x = None\n") != form("x = Constant\n")
    assert form("x = 'said'\n") != form("x = 'other'\n")
    assert form("x = 1\n") != form("x = 1.0\n") != form("x = True\n")


def test_the_stage_writes_fingerprints_and_names_what_has_changed(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(copy)
    monkeypatch.setattr(stage, "Code", lambda family: Code(family, copy))
    stage.main("digits")
    before = {name: Path("reports/digits/code", f"{name}.json").read_text() for name in STAGES}
    assert capsys.readouterr().out == ""
    OTHER["an augmentation"](copy)
    stage.main("digits")
    assert capsys.readouterr().out == "digits: the code of train has changed (pipelines.families.digits.fit)\n"
    after = {name: Path("reports/digits/code", f"{name}.json").read_text() for name in STAGES}
    assert [name for name in STAGES if before[name] != after[name]] == ["train"]


def test_the_stage_mends_a_fingerprint_that_was_edited(project: Path) -> None:
    stage.main("digits")
    path = Path("reports/digits/code/train.json")
    right = path.read_text()
    path.write_text(json.dumps({"modules": []}))
    stage.main("digits")
    assert path.read_text() == right


def test_code_that_changed_since_the_stage_code_ran_is_not_run_under_dvc(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.main("digits")
    monkeypatch.setenv("DVC_STAGE", "train@digits-adam")
    fingerprint.check("digits", "train")
    Path("reports/digits/code/train.json").write_text(json.dumps({"modules": []}))
    with pytest.raises(ChangedMeanwhile, match="Run the same command again"):
        fingerprint.check("digits", "train")
    monkeypatch.delenv("DVC_STAGE")
    fingerprint.check("digits", "train")


@pytest.mark.parametrize(("name", "usage"), [("code", "Usage: family=..., not"), ("look", "Usage: family=... run=..., not")])
def test_a_stage_without_its_arguments_ends_with_its_usage(name: str, usage: str) -> None:
    done = subprocess.run([sys.executable, "-m", f"pipelines.stages.{name}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.startswith(usage), "Traceback" in done.stderr) == (1, True, False)


def test_an_unknown_family_is_refused(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.stages.code", "family=leaves"],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.startswith("UnknownFamily: family='leaves' is unknown. Choose one of: digits")) == (1, True)
