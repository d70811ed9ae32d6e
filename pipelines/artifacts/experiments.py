"""`make experiment family=digits set='digits-adam:fit.epochs=4'`: the pipeline of one family with other settings, beside the project.

DVC runs it in a folder of its own (`dvc exp run --temp`), so that config files, dvc.lock, data/ and models/ stay as they are; that folder
is removed at the end. The result is an experiment of DVC: compared with `dvc exp show`, never promoted.
"""

import csv
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import reduce
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from pipelines import configs, discovery, processes
from pipelines.artifacts import permission
from pipelines.errors import BadSetting

FOLDERS = Path(".dvc/tmp/exps/standalone")  # where DVC runs
SHOW = ("exp", "show", "--only-changed", "--hide-workspace", "--hide-queued", "--no-pager", "--csv", "--precision", "4")
SHOWN = re.compile(r"(?:(?:conf|reports)/\S*?([^/\s]+)\.(?:yaml|json):)?(?!train_s|ms\b|metric\b)([\w.]+)")  # a setting or a figure
OWN = {"Experiment", "rev", "typ", "Created", "parent", "State", "Executor"}  # columns of DVC itself
FORMS = "{family}:key=value, a candidate:key=value such as {candidate}:fit.epochs=4, seed=number or run=smoke"
SETTING = re.compile(r"(?:(?P<of>[\w-]+):)?(?P<key>[\w.]+)=(?P<value>.*)")
FILES = {"seed": "conf/config.yaml", "run": "conf/pipeline.yaml"}  # of a key without a family or candidate


def run(family: str, settings: Sequence[str], name: str | None = None) -> int:
    """Check every setting, then run all stages of the family with them and print what differs between experiments; the exit code.

    Raises BadSetting or BadConfiguration before anything begins.
    """
    permission.check()
    run_name = next((setting.removeprefix("run=") for setting in settings if setting.startswith("run=")), None)
    words = [word for setting in settings for word in ("-S", _override(discovery.validate(family), setting, run_name))]
    named = ["--name", name] if name else []
    before = set(FOLDERS.glob("tmp*"))
    try:
        code = _dvc("exp", "run", "--temp", *named, *words, f"promote@{family}")
    finally:
        for left in set(FOLDERS.glob("tmp*")) - before:  # by a DVC that was killed
            shutil.rmtree(left, ignore_errors=True)
    return code or show()


def show() -> int:
    """Print the settings and headline figures in which the experiments on this commit, and it itself, differ; DVC's exit code."""
    permission.check()
    done = subprocess.run([sys.executable, "-m", "dvc", *SHOW], stdout=subprocess.PIPE, text=True, check=False)
    rows = [*csv.DictReader(done.stdout.splitlines())]
    if len(rows) < 2:
        print("There is no experiment on this commit yet. `make experiment family=digits set='digits-adam:fit.epochs=4'` makes one.")
        return done.returncode
    named = {name: found.groups() for name in rows[0] if name not in OWN and (found := SHOWN.fullmatch(name))}
    table = Table()
    for name in ("experiment", *(" ".join(filter(None, parts)) for parts in named.values())):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(row["Experiment"] or row["rev"], *(row[name].replace("!", "-") for name in named))  # "!": not in that commit
    Console().print(table, highlight=False)
    return done.returncode


def _override(family: str, setting: str, run_name: str | None) -> str:
    """A setting as `dvc exp run -S` takes it: file:key=value. Raises BadSetting or BadConfiguration."""
    candidates = discovery.candidates(family)
    found = SETTING.fullmatch(setting)
    of, key, value = found.groups() if found else (None, "", "")
    if found is None or (of or key) not in {*candidates, family, *(() if of else FILES)}:
        forms = FORMS.format(family=family, candidate=candidates[0])
        raise BadSetting(f"set={setting!r} is no setting of {family}. Give {forms}; candidates: {', '.join(candidates)}.")
    configs.compose([f"family={family}", *([f"candidate={of}"] if of in candidates else []), f"{key}={value}"])
    if of is not None:
        _check_effect(setting, key, run_name or yaml.safe_load((discovery.CONF / "pipeline.yaml").read_text())["run"])
    file = FILES[key] if of is None else f"conf/{'family' if of == family else 'candidate'}/{of}.yaml"
    return f"{file}:{key}={value}"


def _check_effect(setting: str, key: str, run_name: str) -> None:
    """Raises BadSetting where the run's file, which is laid over the others, sets the same key."""
    path = discovery.CONF / "run" / f"{run_name}.yaml"
    value = reduce(lambda node, part: node.get(part) if isinstance(node, dict) else None, key.split("."), yaml.safe_load(path.read_text()))
    if value is not None:
        remedy = f"Add set='run=full', or change {key} in {path.relative_to(discovery.CONF.parent)}."
        raise BadSetting(f"set={setting!r} would have no effect: run={run_name} sets {key}={value} after it. {remedy}")


def _dvc(*words: str) -> int:
    """The exit code of a DVC command, which cleans up after Ctrl-C. Raises KeyboardInterrupt then."""
    return processes.run_to_end([sys.executable, "-m", "dvc", *words])
