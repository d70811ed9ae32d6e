"""The notebooks: they run on the data that every machine has, define nothing, and carry no output into git."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, embedded_data, environment

pytestmark = pytest.mark.slow

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PICTURES = {"signatures": 4}


def cells(path: Path) -> list[dict[str, object]]:
    """The cells of code."""
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_draws_from_the_embedded_data(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    embedded_data(notebook.stem)
    (tmp_path / "notebooks").mkdir()
    copy = Path(shutil.copy(notebook, tmp_path / "notebooks"))
    words = ["-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", "--ExecutePreprocessor.startup_timeout=300", str(copy)]
    own = {name: str(tmp_path / name) for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR")}
    done = subprocess.run([sys.executable, *words], env=environment(**own), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    drawn = [output for cell in cells(copy) for output in cell["outputs"] if "image/png" in output.get("data", {})]
    assert len(drawn) == PICTURES[notebook.stem]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_defines_nothing_and_has_no_output(notebook: Path) -> None:
    for cell in cells(notebook):
        assert not cell["outputs"]
        assert cell["execution_count"] is None
        kinds = {type(node) for node in ast.walk(ast.parse("".join(cell["source"])))}
        assert not kinds & {ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda}
