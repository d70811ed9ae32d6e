"""What DVC shows of the reports: metrics in a line, plots with the right axes, a page without a network."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from selenium.webdriver.common.by import By

from pipelines import discovery, folders
from pipelines.registry import reports
from pipelines.stages import evaluate
from tests.browsers import Browser
from tests.conftest import ROOT, environment

WIDTH = 160  # columns of a terminal
EVALUATE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["evaluate"]["do"]


def across(family: str) -> list[dict[str, dict[str, object]]]:
    """The plots of all candidates of a family."""
    return list(yaml.safe_load((ROOT / f"reports/{family}/dvc.yaml").read_text())["plots"])


def columns(file: Path) -> dict[str, list[str]]:
    with file.open() as lines:
        rows = list(csv.DictReader(lines))
    return {name: [row[name] for row in rows] for name in rows[0]}


@pytest.mark.parametrize("family", discovery.names())
def test_one_plot_has_every_candidate_and_its_axes_are_in_the_files(family: str) -> None:
    names = discovery.candidates(family)
    for title, plot in ((title, plot) for each in across(family) for title, plot in each.items()):
        assert isinstance(plot["y"], dict)
        assert [Path(file).parent.name for file in plot["y"]] == names, title
        for file, y in plot["y"].items():
            found = columns(ROOT / "reports" / family / file)
            assert all(map(float, found[str(plot["x"])])) and len(found[y]) == len(found[str(plot["x"])])


def test_the_quantity_of_a_horizontal_bar_is_x() -> None:
    plots = {Path(path).name: plot for each in EVALUATE["plots"] for path, plot in each.items()}
    for name, plot in plots.items():
        for file in (ROOT / "reports").glob(f"*/plots/*/{name}"):
            found = columns(file)
            assert {plot["x"], plot["y"]} <= found.keys(), file
            if plot["template"].startswith("bar_horizontal"):
                assert all(0 <= float(value) <= 1 for value in found[plot["x"]]) and len({*found[plot["y"]]}) == len(found[plot["y"]])


@pytest.mark.parametrize("family", discovery.names())
def test_the_metrics_of_a_candidate_are_those_of_its_report(family: str) -> None:
    for candidate in discovery.candidates(family):
        report = folders.read_json(ROOT / reports.path_of(family, candidate))
        found = folders.read_json(ROOT / f"reports/{family}/metrics/{candidate}.json")
        assert found == evaluate.compared(report, reports.compared(family)[0])


def shown(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words], cwd=ROOT, env=environment(COLUMNS=str(WIDTH)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_dvc_shows_every_candidate_in_a_line_of_a_terminal() -> None:
    lines = [line for line in shown("metrics", "show").splitlines() if line.strip()]
    assert max(map(len, lines)) <= WIDTH
    every = [candidate for family in discovery.names() for candidate in discovery.candidates(family)]
    assert sorted(Path(line.split()[0]).stem for line in lines[1:]) == sorted(every)
    assert lines[0].split() == ["Path", "MB", "metric", "ms", "test", "train_s", "valid"]


@pytest.mark.slow
def test_the_page_of_plots_needs_no_network(window: Browser) -> None:
    page = ROOT / "dvc_plots/index.html"
    before = page.read_bytes() if page.exists() else None
    try:
        subprocess.run([sys.executable, "-m", "atelier", "plots"], cwd=ROOT, env=environment(), check=True, capture_output=True)
        window.requests(), window.complaints()
        window.driver.get(page.as_uri())
        plots = len(window.driver.find_elements(By.CSS_SELECTOR, "body > div"))
        drawn = "return document.querySelectorAll('.vega-embed canvas, .vega-embed svg.marks').length"
        window.until(lambda driver: driver.execute_script(drawn) >= plots)
        assert plots == 2 * len(discovery.names()) + 2 * sum(len(discovery.candidates(family)) for family in discovery.names())
        assert [address for address in window.requests() if not address.startswith(("file:", "data:", "blob:"))] == []
        assert window.complaints() == []
    finally:
        page.write_bytes(before) if before else shutil.rmtree(page.parent, ignore_errors=True)
