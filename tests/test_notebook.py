"""The notebooks, one for each family: they run on the data that every machine has, define nothing, and carry no output into git."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import discovery
from pipelines.datasets import notebooks
from tests.conftest import ROOT, embedded_data, environment

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PICTURES = {"digits": 3, "gravures": 3, "objects": 3, "ocr": 4, "signatures": 5}


def cells(path: Path) -> list[dict[str, object]]:
    """The cells of code."""
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def test_every_family_has_one() -> None:
    assert [path.stem for path in NOTEBOOKS] == discovery.names()


@pytest.mark.slow
def test_the_notebooks_draw_from_the_embedded_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "notebooks", "notebooks")
    for path in NOTEBOOKS:
        embedded_data(path.stem)
    own = {name: str(tmp_path / name) for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR")}
    done = subprocess.run(
        [sys.executable, "-m", "atelier", "notebooks"], env=environment(**own), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for path in NOTEBOOKS:
        page = (notebooks.PAGES / f"{path.stem}.html").read_text()
        assert page.count('src="data:image/png') == PICTURES.get(path.stem, page.count('src="data:image/png')) > 0
        assert '<table border="1" class="dataframe">' in page


def test_data_that_is_not_here_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(notebooks.NoData, match="make train family=digits"):
        notebooks.run("digits")
    assert "`dvc repro ingest@digits` makes it" in capsys.readouterr().err


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_defines_nothing_and_has_no_output(notebook: Path) -> None:
    for cell in cells(notebook):
        assert not cell["outputs"]
        assert cell["execution_count"] is None
        kinds = {type(node) for node in ast.walk(ast.parse("".join(cell["source"])))}
        assert not kinds & {ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda}
