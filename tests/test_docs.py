"""The README and the site: what is generated agrees with reports/ and code, the site builds strictly, and the commands run."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from selenium.webdriver.common.by import By

from docs.generate import __main__ as generate
from docs.generate import commands, figures, settings
from tests.browsers import Browser
from tests.conftest import ROOT, commit, environment, worktree
from tests.services import free_port, stop, until

PAGES = sorted((ROOT / "docs").rglob("*.md"))
BLOCK = re.compile(r"(?:^<!-- (?P<remark>[^\n]+) -->\n)?^```sh\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
SERVED = "with a service: "  # before a block: a service of this family runs beside it
LEFT_OUT = "not run: "  # before a block, with the reason
GIT = {f"GIT_{who}_{what}": f"test{at}" for who in ("AUTHOR", "COMMITTER") for what, at in (("NAME", ""), ("EMAIL", "@localhost"))}
SET_UP = ("serve", "serve+dev", "serve+docs", "serve+digits", "serve+objects", "serve+shapes")  # what blocks ask make for
SPARED = ("digits-adam", "digits-rmsprop")  # candidates that no command names: the trainings of two are enough
AHEAD = 10**6  # seconds: packages count as set up, also after a block has changed pyproject.toml
HOSTS = re.compile(r"unpkg\.com|jsdelivr\.net|googleapis\.com|gstatic\.com|api\.github\.com")
ELSEWHERE = re.compile(r"""<(?:link|script|img|iframe|source)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//""")


def test_the_readme_is_short() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    assert len(text.encode()) <= 14_000


def test_the_tables_of_the_readme_are_those_of_the_reports() -> None:
    text = (ROOT / "README.md").read_text()
    assert generate.readme(text) == text, "renew them: python -m docs.generate --readme"
    assert len(figures.RATIOS) == 8


def test_the_readme_links_to_what_is_there() -> None:
    text = (ROOT / "README.md").read_text()
    names = re.findall(r"\]\(([^)#]+)", text) + re.findall(r'src="([^"]+)"', text)
    assert [name for name in names if not name.startswith("http") and not (ROOT / name).exists()] == []


def test_the_page_of_benchmarks_shows_every_row_of_the_report() -> None:
    shown = {tuple(cell.strip() for cell in line.split("|")[1:5]) for line in figures.benchmarks().splitlines()}
    for row in figures.report("benchmarks.json"):
        assert (row["name"], figures.number(row["ours"]), figures.number(row["peer"]), row["unit"]) in shown


@pytest.mark.parametrize("family", figures.TASKS)
def test_figures_are_written_as_the_report_has_them(family: str) -> None:
    champion, first = figures.report(f"{family}/champion.json"), figures.COLUMNS[family][0]
    row = next(line for line in figures.candidates(family).splitlines() if "champion" in line)
    assert f"`{champion['candidate']}`, version {champion['version']}" in row
    assert f"{champion[first.split][first.key]:.{first.digits}%}" in row


def test_every_key_of_the_settings_has_a_meaning_and_every_meaning_a_key() -> None:
    pages = {"all": settings.shared(), "sweep": settings.sweep(), **{family: settings.family(family) for family in figures.TASKS}}
    keys = {name: set(re.findall(r"^\| `([^`]+)`", page, re.MULTILINE)) for name, page in pages.items()}
    keys["all"] = set.union(*keys.values())
    for name, said in settings.meanings().items():
        assert set(said) <= keys[name], name


def test_every_command_of_the_makefile_is_in_the_reference() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony
    shown = commands.commands()
    assert [target for target in phony[1].split() if not re.search(rf"`\w+ {target}[ `]", shown)] == []


def test_every_environment_variable_is_in_the_reference() -> None:
    page = (ROOT / "docs/reference/environment.md").read_text()
    code = "".join(path.read_text() for folder in ("pipelines", "serving") for path in (ROOT / folder).rglob("*.py"))
    names = set(re.findall(r"""environ(?:\.get\(|\[)"([A-Z_]+)""", code)) - {"PATH", "BENTOML_DO_NOT_TRACK"}
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_every_mark_names_a_block() -> None:
    marks = [found["words"].split()[0] for path in PAGES for found in generate.MARK.finditer(path.read_text())]
    assert set(marks) == set(generate.BLOCKS) - {"ratios"}


class Site(NamedTuple):
    """A built site: the folder with pages and configuration, and what was printed."""

    out: Path
    said: str

    @property
    def html(self) -> list[Path]:
        return sorted((self.out / "site").rglob("*.html"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    out = tmp_path_factory.mktemp("docs")
    words = [sys.executable, "-m", "docs.generate", "--out", str(out)]
    done = subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Site(out, done.stdout)


def listed(entries: list[object]) -> Iterator[str]:
    """The pages of the navigation."""
    for entry in entries:
        below = list(entry.values()) if isinstance(entry, dict) else entry
        if isinstance(below, list):
            yield from listed(below)
        else:
            yield str(below)


@pytest.mark.slow
def test_every_page_is_in_the_navigation_and_in_the_site(site: Site) -> None:
    pages = set(listed(tomllib.loads((site.out / "zensical.toml").read_text())["project"]["nav"]))
    there = {path.relative_to(site.out / "pages").as_posix() for path in (site.out / "pages").rglob("*.md")}
    assert pages == {name for name in there if not re.match(r"decisions/\d", name)}
    for name in there:
        html = name.removesuffix(".md").removesuffix("index").removesuffix("README").strip("/")
        assert (site.out / "site" / html / "index.html").exists(), name


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(site: Site) -> None:
    for path in site.html:
        text = path.read_text()
        assert not ELSEWHERE.search(text), path
        assert "default-src 'self'" in text, path
        assert "<p><em>Generated by <code>make docs</code>" not in text, path
    for path in [path for path in (site.out / "site").rglob("*") if path.suffix in {".js", ".css"}]:
        assert not HOSTS.search(path.read_text()), path


@pytest.mark.slow
@pytest.mark.parametrize("link", ["[x](nowhere.md)", "[x](log.md#nowhere)"])
def test_a_broken_link_or_anchor_ends_the_build(site: Site, tmp_path: Path, link: str) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/index.md").write_text(f"# Page\n\n{link}\n")
    (tmp_path / "pages/log.md").write_text("# Log\n")
    config = re.sub(r"^nav = \[.*?^\]\n|^custom_dir.*?\n", "", (site.out / "zensical.toml").read_text(), flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "zensical.toml").write_text(config)
    done = subprocess.run(generate.command("build", "--strict"), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "does not exist" in done.stdout + done.stderr


@pytest.mark.slow
def test_pages_open_in_a_browser_and_fit_a_phone(site: Site, window: Browser) -> None:
    port = free_port()
    words = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(site.out / "site")]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert until(lambda: answers(f"http://127.0.0.1:{port}"))
        for page in ("", "fr/", "reference/configuration/", "how-to/gravures/"):
            window.resize(390, 800)
            window.driver.get(f"http://127.0.0.1:{port}/{page}")
            window.until(lambda driver: driver.find_elements(By.TAG_NAME, "h1"))
            assert window.driver.execute_script("return document.documentElement.scrollWidth") <= 390
            assert window.complaints() == []
        own = (f"http://127.0.0.1:{port}/", "data:", "blob:", "about:", "chrome:")
        assert [address for address in window.requests() if not address.startswith(own)] == []
    finally:
        stop(server)


def answers(address: str) -> bool:
    try:
        return httpx.get(address).status_code == 200
    except httpx.TransportError:
        return False


class Commands(NamedTuple):
    """A block of commands, what is remarked before it, and where it is."""

    page: str
    code: str
    remark: str


def blocks(page: str) -> list[Commands]:
    found = BLOCK.finditer((ROOT / page).read_text())
    return [Commands(page, each["code"], each["remark"] or "") for each in found]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The working tree in a repository of its own, its packages those of this process."""
    folder = worktree(tmp_path / "atelier")
    for path in Path(sys.prefix).iterdir():
        if not path.name.startswith("with-"):
            (folder / ".venv").mkdir(exist_ok=True)
            (folder / ".venv" / path.name).symlink_to(path)
    for extras in SET_UP:
        stamp = folder / f".venv/with-{extras}"
        stamp.touch()
        os.utime(stamp, (stamp.stat().st_mtime + AHEAD,) * 2)
    for candidate in SPARED:
        (folder / f"conf/candidate/{candidate}.yaml").unlink()
    stages = (folder / "dvc.yaml").read_text().splitlines(keepends=True)
    (folder / "dvc.yaml").write_text("".join(line for line in stages if not line.strip().startswith(SPARED)))
    commit(folder)
    return folder


def follow(folder: Path, page: str) -> None:
    """Run the blocks of a page as a person would type them, unless they say why not; a service runs from the first one that needs it."""
    addresses: dict[str, str] = {}
    with ExitStack() as services:
        for block in blocks(page):
            if block.remark.startswith(LEFT_OUT):
                continue
            code = block.code
            if block.remark.startswith(SERVED):
                family = block.remark.removeprefix(SERVED)
                addresses[family] = addresses.get(family) or services.enter_context(service(folder, family))
                code = code.replace("http://127.0.0.1:3000", addresses[family])
            shell(folder, block._replace(code=code))


def shell(folder: Path, block: Commands) -> None:
    told = environment(PYTHONPATH=str(folder)) | GIT
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", block.code], cwd=folder, env=told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{block.page}:\n{block.code}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@contextmanager
def service(folder: Path, family: str) -> Iterator[str]:
    """`make serve` in the folder, on a port of its own."""
    address, words = f"http://127.0.0.1:{(port := free_port())}", [sys.executable, "-m", "atelier", "serve", family]
    with (folder.parent / "service.log").open("wb") as log:
        process = subprocess.Popen(
            [*words, "--port", str(port)], cwd=folder, env=environment(PYTHONPATH=str(folder)), stdout=log, stderr=log
        )
    try:
        assert until(lambda: answers(f"{address}/readyz"), tries=600)
        yield address
    finally:
        stop(process)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_commands_of_readme_get_started_and_tutorials_run(clone: Path) -> None:
    for page in ("README.md", "docs/get-started.md", *(f"docs/tutorials/{name}.md" for name in ("digits", "challenger", "rollback"))):
        follow(clone, page)


@pytest.mark.system
def test_the_commands_of_your_own_images_run(clone: Path) -> None:
    follow(clone, "docs/tutorials/your-images.md")
    assert (clone / "registry/shapes.jsonl").exists()


@pytest.mark.parametrize(
    "page", ["README.md", "docs/get-started.md", *(str(path.relative_to(ROOT)) for path in PAGES if "tutorials" in path.parts)]
)
def test_a_block_that_is_not_run_says_why(page: str) -> None:
    for block in blocks(page):
        assert not block.remark or re.match(rf"({LEFT_OUT}.{{10,}}|{SERVED}\w+)$", block.remark), block
