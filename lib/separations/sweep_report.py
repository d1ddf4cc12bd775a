"""The pages of the book about sweeps: one for each sweep that ran, and one that lists them."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from . import pages
from .chapters import toc_entries
from .dependencies import fingerprint, with_parameters
from .results import read_result
from .sweep_pictures import LINES, axes_of, picture
from .sweep_plan import read_plan, sweep_folder
from .sweep_table import csv_text, parquet_bytes, rows_of

PAGE = "book/appendix/sweeps"
PANELS = 12  # of measures, where the file does not say which
ROWS = 200  # of the table on a page, and executed notebooks that lie beside it
SHOWN = 5  # measures that are columns of the table
NUMBER = "{:.4g}"
NO_BREAK = "&nbsp;"


def sweep_files(root: Path) -> list[Path]:
    """The sweep files of the repository."""
    return sorted((root / "sweeps").glob("*.yml"))


def report_files(root: Path) -> dict[str, bytes]:
    """Everything that the book holds about sweeps: relative path -> content."""
    files: dict[str, bytes] = {}
    listed = []
    for path in sweep_files(root):
        try:
            plan = read_plan(root, path.stem)[0]
        except ValueError:
            plan = None
        if plan is None or Path(root, plan["file"]).resolve() != path.resolve():
            listed.append((path, None, []))
            continue
        rows = rows_of(root, path.stem)
        listed.append((path, plan, rows))
        files |= _page(root, path, plan, rows)
    files[f"{PAGE}.md"] = _overview(root, listed).encode()
    return files


def reported(files: Mapping[str, bytes]) -> list[str]:
    """Names of the sweeps that have a page among the files."""
    return [name.removeprefix(f"{PAGE}/").removesuffix(".md") for name in files if name.startswith(f"{PAGE}/") and name.endswith(".md")]  # fmt: skip


def toc_with_sweeps(text: bytes, names: Sequence[str]) -> bytes:
    """The table of contents with the pages of these sweeps below the one that lists them; unchanged without any."""
    if not names:
        return text
    toc = yaml.safe_load(text)
    for part in toc.get("parts", [toc]):
        for entry in part.get("chapters") or []:
            if entry.get("file") == PAGE:
                entry["sections"] = [{"file": f"{PAGE}/{name}"} for name in names]
    return yaml.safe_dump(toc, sort_keys=False, allow_unicode=True).encode()


def _counts(rows: Sequence[Mapping]) -> str:
    states = [row["state"] for row in rows]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))


def _chapter(root: Path, key: str) -> str:
    """A link to a chapter, or its key alone where the book does not have it."""
    return f"{{doc}}`/book/{key}`" if f"book/{key}" in [name for _, name in toc_entries(root)] else f"`{key}`"


def _overview(root: Path, listed: Sequence[tuple[Path, dict | None, list[dict]]]) -> str:
    parts = [
        "(sweeps)=\n# Sweeps\n",
        "A sweep is many runs of one notebook, one for each point of a grid, a list or a zip of parameters, and each seed. "
        "{doc}`batch` says how a sweep file is written and run. This page lists those that come with the book; "
        "each that ran on the machine that built this book has a page of its own.\n",
    ]
    table = []
    for path, plan, rows in listed:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        notebook = str(content.get("notebook", "")).removeprefix("book/").removesuffix(".ipynb")
        chapter = _chapter(root, notebook)
        title = content.get("title", path.stem)
        link = f"{{doc}}`{title} <sweeps/{path.stem}>`" if plan else title
        table.append((f"{link}; `sweeps/{path.name}`", chapter, _counts(rows) if plan else "not run"))
    if table:
        parts.append(pages.list_table(("Sweep", "Notebook", "Runs"), table, "50 30 20"))
    if not any(plan for _, plan, _ in listed):
        parts.append(
            "No sweep has run here yet. To make one, and its page:\n\n"
            "```bash\nmake sweep FILE=sweeps/tiny.yml\nmake book\n```\n"
        )
    return "\n".join(parts)


def _page(root: Path, path: Path, plan: Mapping, rows: list[dict]) -> dict[str, bytes]:
    name, base = path.stem, f"{PAGE}/{path.stem}"
    done = [row for row in rows if row["state"] == "done"]
    measures = _measures(plan, done)
    axes = axes_of(done, plan["swept"], plan["seed"])
    files = {f"{base}/table.csv": csv_text(rows).encode(), f"{base}/table.parquet": parquet_bytes(rows)}
    parts = [f"# {plan['title']}\n", _notice(root, plan), _introduction(root, path, plan, rows, done)]
    if done and measures:
        files[f"{base}/measures.png"] = picture(done, axes, measures)
        parts.append(_figure(name, plan, done, axes, measures))
    parts.append(_failures(rows, plan))
    parts.append("## All runs\n")
    parts.append(_table(root, name, plan, rows, measures, files, base))
    files[f"{base}.md"] = "\n".join(part for part in parts if part).encode()
    return files


def _notice(root: Path, plan: Mapping) -> str:
    """What stands above runs that belong to other sources than the book."""
    present = fingerprint(root / "book" / f"{plan['notebook']}.ipynb")
    if all(with_parameters(present, run["overrides"])["key"] == run["key"] for run in plan["runs"].values()):
        return ""
    text = "Notebook, library or requirements changed since these runs. `make sweep` with this file runs them again."
    return pages.admonition("warning", "Runs of earlier sources", text)


def _measures(plan: Mapping, done: Sequence[Mapping]) -> list[str]:
    """What is shown: the measures that the file names, else those that vary most, at most twelve."""
    there = list(dict.fromkeys(key for row in done for key in row if key.startswith("measure.")))
    named = [f"measure.{name}" for name in plan["measures"] if f"measure.{name}" in there]
    varying = [name for name in there if len({row[name] for row in done if name in row}) > 1]
    return named or (varying or there)[:PANELS]


def _introduction(root: Path, path: Path, plan: Mapping, rows: Sequence[Mapping], done: Sequence[Mapping]) -> str:
    varied = ", ".join(f"`{name}`" for name in plan["swept"])
    common = {
        k: v for run in list(plan["runs"].values())[:1] for k, v in run["overrides"].items() if k not in plan["swept"]
    }
    others = ", ".join(f"`{name} = {json.dumps(value)}`" for name, value in common.items())
    seconds = [row["seconds"] for row in done if row["seconds"] is not None]
    took = f" A run took {pages.duration(statistics.median(seconds))} in the median, all together {pages.duration(sum(seconds))}." if seconds else ""  # fmt: skip
    text = f"{len(rows)} runs of {_chapter(root, plan['notebook'])}, as `sweeps/{path.name}` asks for: {_counts(rows)}. They differ in {varied}.{took}\n"
    text += f"\nIn all of them, beside the notebook's defaults: {others}.\n" if others else ""
    return (
        text + f"\n:::{{dropdown}} sweeps/{path.name}\n```yaml\n{path.read_text(encoding='utf-8').strip()}\n```\n:::\n"
    )


def _figure(name: str, plan: Mapping, done: Sequence[Mapping], axes: Sequence[str], measures: Sequence[str]) -> str:
    seeds = len({row[plan["seed"]] for row in done}) if plan["seed"] else 1
    spread = f" Means over {seeds} seeds with 95 % t-intervals." if seeds > 1 else " One seed, so without intervals."
    what = " and ".join(f"`{axis}`" for axis in axes[:2]) if len(axes) <= 2 else f"`{axes[0]}`"
    more = f" A line for each combination of {', '.join(f'`{a}`' for a in axes[1:])}, the first {LINES} at most." if len(axes) > 2 else ""  # fmt: skip
    against = f"against {what}" if axes else "over the seeds"
    names = ", ".join(measure.removeprefix("measure.") for measure in measures)
    return (
        f":::{{figure}} {name}/measures.png\n:name: fig-sweep-{name}\n:alt: Small multiples of {names} {against.replace('`', '')}.\n\n"
        f"What the runs recorded, {against}.{spread}{more}\n:::\n"
    )


def _failures(rows: Sequence[Mapping], plan: Mapping) -> str:
    failed = [row for row in rows if row["state"] == "failed"]
    if not failed:
        return ""
    table = [(*(row.get(name) for name in plan["swept"]), f"`{pages.one_line(row['reason'])[:300].replace('`', '')}`") for row in failed]  # fmt: skip
    return "## Failures\n\n" + pages.list_table((*plan["swept"], "Reason"), table, " ".join(["10"] * len(plan["swept"]) + ["50"]))  # fmt: skip


def _table(root, name: str, plan: Mapping, rows: list[dict], measures: list[str], files: dict, base: str) -> str:
    columns, axes = measures[:SHOWN], axes_of(rows, plan["swept"], plan["seed"])
    points = [n for n in plan["swept"] if n in axes or n == plan["seed"]] or list(plan["swept"])
    header = (
        *points,
        "notebook",
        "state",
        "time",
        *(m.removeprefix("measure.").replace("_", " ") for m in columns),
    )
    table = []
    for row in rows[:ROWS]:
        link = "–"
        run = sweep_folder(root, name) / "runs" / row["run"]
        executed = run / (read_result(run) or {}).get("file", ".")
        if row["state"] in ("done", "failed") and executed.is_file():
            target = f"{base}/runs/{row['run']}.ipynb"
            files[target] = executed.read_bytes()
            link = f"{{download}}`{row['run'][:6]} <{name}/runs/{row['run']}.ipynb>`"
        point, values = ([_shown(row.get(column)) for column in part] for part in (points, columns))
        time = pages.duration(row["seconds"]).replace(" ", NO_BREAK) if row["seconds"] is not None else "–"
        table.append((*point, link, row["state"], time, *values))
    cut = f"The first {ROWS} of {len(rows)} runs. " if len(rows) > ROWS else ""
    apart = [f"`{name}`" for name in plan["swept"] if name not in points]
    cut += f"Without {' and '.join(apart)}: one value, or in step with another column. " if apart else ""
    text = f"{cut}With every parameter and everything recorded: {{download}}`CSV <{name}/table.csv>`, {{download}}`Parquet <{name}/table.parquet>`.\n\n"
    return text + pages.list_table(header, table, "auto")


def _shown(value) -> str:
    if isinstance(value, float):
        return NUMBER.format(value)
    return "–" if value is None else str(value)
