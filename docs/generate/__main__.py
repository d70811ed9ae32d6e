"""`make docs`: the site in .docs/site/, from docs/, reports/, the configuration and the services; strict, and without a network."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from docs.generate import commands, figures, http, settings

ROOT = Path(__file__).parents[2]
DOCS, OUT, README = ROOT / "docs", ROOT / ".docs", ROOT / "README.md"
FROM_ROOT = {"CHANGELOG.md": "project/changelog.md", "CONTRIBUTING.md": "project/contributing.md"}
COPIED = {".md", ".svg", ".png", ".css"}
MARK = re.compile(r"^<!-- generated: (?P<words>[^>\n]+) -->$", re.MULTILINE)
FILLED = re.compile(r"^(?P<begin><!-- generated: (?P<words>[^>\n]+) -->)$.*?^(?P<end><!-- end -->)$", re.MULTILINE | re.DOTALL)
BLOCKS: dict[str, Callable[..., str]] = {
    **figures.BLOCKS,
    "commands": commands.commands,
    "settings": settings.family,
    "settings-shared": settings.shared,
    "http": http.family,
    "http-shared": http.shared,
    "metrics": http.metrics,
}


def block(words: str) -> str:
    """What a mark such as `<!-- generated: candidates digits -->` is replaced by."""
    name, *rest = words.split()
    return BLOCKS[name](*rest)


def readme(text: str) -> str:
    """The README with its generated tables as they are today, each between its mark and `<!-- end -->`."""
    return FILLED.sub(lambda found: f"{found['begin']}\n{block(found['words'])}\n{found['end']}", text)


def assemble(out: Path) -> None:
    """The pages of the site with what is generated, in `out`/pages, beside the configuration of the site."""
    pages = {path.relative_to(DOCS).as_posix(): path for path in sorted(DOCS.rglob("*")) if path.suffix in COPIED}
    pages |= {to: ROOT / name for name, to in FROM_ROOT.items()}
    for name, source in pages.items():
        target = out / "pages" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            target.write_text(MARK.sub(lambda found: block(found["words"]), source.read_text()))
        else:
            shutil.copyfile(source, target)
    shutil.copyfile(DOCS / "zensical.toml", out / "zensical.toml")
    shutil.copytree(DOCS / "overrides", out / "overrides", dirs_exist_ok=True)


def command(*words: str) -> list[str]:
    """The generator of the site, for the configuration in the working directory."""
    return [sys.executable, "-m", "zensical", *words, "-f", "zensical.toml"]


def build(out: Path) -> Path:
    """The folder of the finished site. Ends with the generator's message where a link or an anchor is broken."""
    shutil.rmtree(out, ignore_errors=True)
    assemble(out)
    done = subprocess.run(command("build", "--strict"), cwd=out, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr.partition("Traceback")[0] + "The site was not built: the warnings above say why.")
    return out / "site"


def serve(out: Path, address: str) -> None:
    """Show the site on the loopback address, and again when a page changes; until Ctrl-C."""
    process, seen = subprocess.Popen(command("serve", "-a", address), cwd=out), _changed()
    try:
        while process.poll() is None:
            time.sleep(1)
            if (now := _changed()) != seen:
                seen = now
                assemble(out)
    except KeyboardInterrupt:
        pass
    finally:
        process.terminate()
        process.wait()


def _changed() -> float:
    return max(path.stat().st_mtime for path in DOCS.rglob("*") if path.is_file())


def main() -> None:
    """Build the site, and show it with --serve."""
    parser = argparse.ArgumentParser(prog="python -m docs.generate", description=main.__doc__)
    parser.add_argument("--serve", metavar="ADDRESS", help="such as 127.0.0.1:8000")
    parser.add_argument("--readme", action="store_true", help="renew the generated tables of README.md instead")
    parser.add_argument("--out", type=Path, default=OUT, help="where the site is built, in a folder site/ (default: .docs)")
    asked = parser.parse_args()
    os.chdir(ROOT)
    if asked.readme:
        README.write_text(readme(README.read_text()))
        return
    begun, site = time.monotonic(), build(asked.out)
    print(f"{os.path.relpath(site)}/index.html, {time.monotonic() - begun:.0f} s")
    if asked.serve:
        serve(asked.out, asked.serve)


if __name__ == "__main__":
    main()
