"""Tables of reports/: the products, the candidates of a family, the benchmarks."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipelines import discovery

ROOT = Path(__file__).parents[2]
Report = dict[str, Any]


class Column(NamedTuple):
    """One figure of a table: its heading, the split and key in a report, and how it is written."""

    heading: str
    split: str
    key: str
    digits: int = 1  # decimals of a percentage
    interval: bool = False
    plain: bool = False  # a number instead of a percentage


TASKS = {
    "digits": "classify a handwritten digit",
    "objects": "classify a small colour image, ten classes",
    "signatures": "find handwritten signatures on scanned pages",
    "gravures": "find the lens that bears a drawn engraving",
    "ocr": "read printed lines of receipts",
}
HEADLINES = {
    "digits": ("accuracy", Column("MNIST", "test", "accuracy", 2, interval=True)),
    "objects": ("accuracy", Column("CIFAR-10, JPEG copy", "test", "accuracy", 2, interval=True)),
    "signatures": ("mAP50", Column("Tobacco-800 and GSA leases", "test", "map50", interval=True)),
    "gravures": ("top 1", Column("51 engravings, one drawing each", "test", "top1", interval=True)),
    "ocr": ("character error rate", Column("SROIE", "test", "cer", interval=True)),
}
COLUMNS = {
    "digits": (
        Column("accuracy, valid", "valid", "accuracy", 2),
        Column("accuracy, test", "test", "accuracy", 2, interval=True),
        Column("calibration error, test", "test", "calibration_error", plain=True),
    ),
    "objects": (
        Column("accuracy, valid", "valid", "accuracy", 2),
        Column("accuracy, test", "test", "accuracy", 2, interval=True),
        Column("calibration error, test", "test", "calibration_error", plain=True),
    ),
    "signatures": (
        Column("mAP50, valid", "valid", "map50"),
        Column("mAP50, test", "test", "map50", interval=True),
        Column("F1, test", "test", "f1"),
        Column("mAP at IoU 0.3, test", "test", "map30"),
        Column("mAP50-95, test", "test", "map50_95"),
        Column("right count, test", "test", "count_accuracy"),
        Column("signed: precision", "test", "signed_precision"),
        Column("signed: recall", "test", "signed_recall"),
    ),
    "gravures": (
        Column("retrieval, valid", "valid", "retrieval"),
        Column("top 1, one drawing a class", "test", "top1", interval=True),
        Column("top 10", "test", "top10"),
        Column("top 1, five drawings a class", "test", "five_top1"),
        Column("top 1, official images", "test", "official_top1"),
        Column("top 1, unseen classes", "test", "unseen_top1"),
        Column("one-shot 20-way, random", "test", "one_shot_random"),
        Column("one-shot 20-way, within an alphabet", "test", "one_shot_within"),
    ),
    "ocr": (
        Column("CER, valid", "valid", "cer"),
        Column("CER, test", "test", "cer", interval=True),
        Column("WER, test", "test", "wer"),
        Column("exact lines, test", "test", "exact"),
        Column("calibration error, test", "test", "calibration_error", plain=True),
    ),
}
RATIOS = (
    "one prediction: Keras model.predict",
    "rps: FastAPI + Keras",
    "rps: FastAPI + ONNX",
    "p99: stock BentoML + ONNX",
    "objects rps: FastAPI + ONNX, on the loop",
    "seconds to 75% on CIFAR-10 (JPEG copy): DataLoader + torchvision",
    "neighbours 10 of 200,000 x 256: FAISS Flat",
    "60,000 pictures written and added to DVC: a file each",
)
"""The rows of reports/benchmarks.json that the README shows."""
CORE_HOUR = 0.05  # US dollars for a core of a cloud's general-purpose machine on demand: assumed
NODE = 32  # cores of the node that is computed


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; a bar in a cell is escaped."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def report(path: str) -> Any:
    """A JSON file below reports/."""
    return json.loads((ROOT / "reports" / path).read_text())


def figure(column: Column, found: Report) -> str:
    """A figure of a report, with its 95 % interval where the column has one; empty where the report has none."""
    split = found.get(column.split, {})
    if column.key not in split:
        return ""

    def written(value: float) -> str:
        return f"{value:.2g}" if column.plain else f"{value:.{column.digits}%}"

    low, high = (split.get(f"{column.key}_{end}") for end in ("low", "high"))
    return written(split[column.key]) + (f" ({written(low)} to {written(high)})" if column.interval else "")


def candidates(family: str) -> str:
    """The champion and every candidate of a family, best on validation first."""
    champion, found, columns = report(f"{family}/champion.json"), _candidates(family), COLUMNS[family]
    current = f", version {champion['version']}: champion"
    rows = [_row(line, columns, current if line["digest"] == champion["digest"] else "") for line in found]
    if champion["digest"] not in {line["digest"] for line in found}:
        rows = [_row(champion, columns, current), *rows]
    headings = [f"{each.heading} (95 % interval)" if each.interval else each.heading for each in columns]
    shown = table(["candidate", *headings, "training", "one answer", "served"], rows)
    return f"{shown}\n\nThe champion was trained on {machine(champion['hardware'])}."


def machine(hardware: Report) -> str:
    """Such as `2 cores of an AMD EPYC, no GPU`."""
    return f"{hardware['cores']} cores of an {hardware['cpu']}, {', '.join(hardware['gpu']) or 'no GPU'}"


def _candidates(family: str) -> list[Report]:
    found = [report(f"{family}/candidates/{name}.json") for name in discovery.candidates(family)]
    column = COLUMNS[family][0]
    return sorted(found, key=lambda line: line[column.split][column.key], reverse=column.key != "cer")


def _row(line: Report, columns: Sequence[Column], remark: str) -> list[str]:
    latency, size = line.get("latency_ms"), line.get("size_mb")
    return [
        f"`{line['candidate']}`{remark}",
        *(figure(column, line) for column in columns),
        f"{line['seconds']['train']:,.0f} s",
        "" if latency is None else f"{latency:.2f} ms",
        "" if size is None else f"{size:.1f} MB",
    ]


def classes(family: str) -> str:
    """The champion's recipe on validation by class, source or length, as its last evaluation wrote it."""
    candidate = report(f"{family}/champion.json")["candidate"]
    headings, *rows = csv.reader((ROOT / f"reports/{family}/plots/{candidate}/classes.csv").read_text().splitlines())
    return table(headings, [[name, count, *(f"{float(value):.1%}" for value in figures)] for name, count, *figures in rows])


def recipes(family: str) -> str:
    """What each candidate is: the first comment of its config file."""
    rows = []
    for name in discovery.candidates(family):
        comment = (ROOT / f"conf/candidate/{name}.yaml").read_text().splitlines()[1].removeprefix("# ")
        rows.append([f"`{name}`", comment])
    return table(["candidate", "recipe"], rows)


def decision(family: str) -> str:
    """The last decision of the gate, with its figures."""
    found = report(f"{family}/promotion.json")
    rows = [[each["name"], "yes" if each["holds"] else "no", each["words"]] for each in found["conditions"]]
    return f"> {found['words']}\n\n" + table(["condition", "holds", "figures"], rows)


def elsewhere(family: str) -> str:
    """What the champion does on material of another source than it was trained on, where reports/ has that."""
    if family == "gravures":
        column = Column("", "test", "one_shot_within", interval=True)
        return f"{figure(column, report('gravures/champion.json'))}: other hands, unseen alphabets, one-shot 20-way"
    if family == "signatures":
        rows = (ROOT / "reports/signatures/plots/signatures-letters/classes.csv").read_text().splitlines()
        recall = next(float(row.split(",")[3]) for row in rows if row.startswith("gsa,"))
        return f"{recall:.1%} of the leases' signatures are found (valid) when trained on the letters alone"
    return "not measured"


def products(prefix: str = "") -> str:
    """The five products: task, headline figure of the champion, figures elsewhere, command, page; `prefix` comes before the links."""
    rows = []
    for family, task in TASKS.items():
        name, column = HEADLINES[family]
        value = figure(column, report(f"{family}/champion.json"))
        link = f"[{family}]({prefix}how-to/{family}.md)"
        rows.append([link, task, f"{name} {value}: {column.heading}", elsewhere(family), f"`make serve family={family}`"])
    return table(["product", "task", "champion on test (95 % interval)", "on material of another source", "serve it"], rows)


def benchmarks(bench: str = "") -> str:
    """The rows of one benchmark of reports/benchmarks.json, or of all of them under a heading each."""
    rows = report("benchmarks.json")
    if bench:
        return ratios([row for row in rows if row["bench"] == bench])
    names = dict.fromkeys(row["bench"] for row in rows)
    return "\n\n".join(_group(name, [row for row in rows if row["bench"] == name]) for name in names)


def _group(name: str, rows: Sequence[Report]) -> str:
    dates = " and ".join(dict.fromkeys(row["date"] for row in rows))
    return f"### {name}\n\n`{rows[0]['command']}`, {dates}, {machine(rows[0]['hardware'])}.\n\n{ratios(rows)}"


def ratios(rows: Sequence[Report]) -> str:
    """Rows of reports/benchmarks.json as a table; the least and the most over the rounds in brackets."""
    return table(["", "Atelier", "peer", "", "times better"], [_ratio(row) for row in rows])


def _ratio(row: Report) -> list[str]:
    spread = row["spread"].get("ratio")
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.4g}"
    if spread and spread[0] != spread[1]:
        ratio += f" ({spread[0]:.4g} to {spread[1]:.4g})"
    return [row["name"], number(row["ours"]), number(row["peer"]), row["unit"], ratio]


def number(value: float | None) -> str:
    """A figure as it is measured, with commas from 1,000 on."""
    return "" if value is None else f"{value:,g}" if value >= 1000 else f"{value:g}"


def chosen() -> str:
    """The eight ratios of the README."""
    rows = {row["name"]: row for row in report("benchmarks.json")}
    return ratios([rows[name] for name in RATIOS])


def archive() -> str:
    """What an archive costs, from the rows of `make bench name=batch`: measured on one machine, computed for a larger one."""
    rows = [row for row in report("benchmarks.json") if row["bench"] == "batch"]
    if not rows:
        return "Not measured yet: `make bench name=batch`."
    headings = ["", "a core, a second", f"a node of {rows[0]['cores']} cores (measured)", f"a node of {NODE} (computed)"]
    shown = table([*headings, "core hours for a million", "dollars for a million"], [_archive(row) for row in rows])
    return f"{shown}\n\nOn {machine(rows[0]['hardware'])}; a core for an hour at {CORE_HOUR} US dollars, which is assumed."


def _archive(row: Report) -> list[str]:
    core = row["ours"] / row["cores"]
    hours = 1e6 / core / 3600
    values = core, row["ours"], core * NODE, hours, hours * CORE_HOUR
    return [row["name"].removeprefix("batch: "), *(number(float(f"{value:.3g}")) for value in values)]


BLOCKS: dict[str, Callable[..., str]] = {
    "products": products,
    "candidates": candidates,
    "recipes": recipes,
    "classes": classes,
    "decision": decision,
    "benchmarks": benchmarks,
    "ratios": chosen,
    "archive": archive,
}
