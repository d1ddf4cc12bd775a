"""The pages of the book about sweeps: one for each sweep that ran, and one that lists them."""

import json
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from ..run.fingerprint import fingerprint, with_parameters
from ..run.profiles import Book
from ..run.results import read_result
from ..sweep.columns import column
from ..sweep.file import NAME
from ..sweep.pictures import LINES, axes_of, picture
from ..sweep.plan import read_plan
from ..sweep.table import csv_text, parquet_bytes, rows_of
from ..yaml_files import parse_yaml, read_yaml
from . import pages
from .chapters import entries_of, toc_entries
from .markup import block, code, directive, heading, link, option, plain
from .records import file_inside, is_number

PAGE = "book/appendix/sweeps"
PANELS = 12  # of measures, where the file does not say which
ROWS = 200  # of the table on a page, and executed notebooks that lie beside it
SHOWN = 5  # measures that are columns of the table
NUMBER = "{:.4g}"
NO_BREAK = "&nbsp;"
RUN = re.compile(r"[0-9a-f]{8,64}")


def sweep_files(book: Book) -> list[Path]:
    """The sweep files of the repository."""
    return sorted((book.root / "sweeps").glob("*.yml"))


def report_files(book: Book) -> dict[str, bytes]:
    """Everything that the book holds about sweeps: relative path -> content."""
    files: dict[str, bytes] = {}
    listed = []
    for path in sweep_files(book):
        plan = _plan(book, path)
        rows = rows_of(book, path.stem) if plan else []
        listed.append((path, plan, rows))
        if plan:
            files |= _page(book, path, plan, rows)
    files[f"{PAGE}.md"] = _overview(book, listed).encode()
    return files


def _plan(book: Book, path: Path) -> dict | None:
    """The plan by which a sweep file last ran; None where it did not run here, or the folder belongs to another file.

    ValueError where the plan names what could lead out of its folder.
    """
    if not NAME.fullmatch(path.stem):
        return None
    if not (book.sweep_folder(path.stem) / "plan.json").is_file():
        return None
    plan = read_plan(book, path.stem)[0]
    if Path(book.root, str(plan.get("file"))).resolve() != path.resolve():
        return None
    odd = [run for run in plan["runs"] if not RUN.fullmatch(run)]
    if odd:
        raise ValueError(
            f"plan of the sweep {path.stem!r}: run = {odd[0]!r}: hexadecimal digits are needed; `make sweep` plans anew"
        )
    if not isinstance(plan.get("title"), str) or not book.notebook(plan.get("notebook")).is_file():
        raise ValueError(f"plan of the sweep {path.stem!r}: title or notebook is missing; `make sweep` plans anew")
    return plan


def reported(files: Mapping[str, bytes]) -> list[str]:
    """Names of the sweeps that have a page among the files."""
    return [name.removeprefix(f"{PAGE}/").removesuffix(".md") for name in files if name.startswith(f"{PAGE}/") and name.endswith(".md")]  # fmt: skip


def toc_with_sweeps(text: bytes, names: Sequence[str]) -> bytes:
    """The table of contents with the pages of these sweeps below the one that lists them; unchanged without any."""
    if not names:
        return text
    toc = parse_yaml(text.decode(), "_toc.yml")
    entries_of(toc)  # is one
    for part in toc.get("parts", [toc]):
        for entry in part.get("chapters") or []:
            if entry.get("file") == PAGE:
                entry["sections"] = [{"file": f"{PAGE}/{name}"} for name in names]
    return yaml.safe_dump(toc, sort_keys=False, allow_unicode=True).encode()


def _counts(rows: Sequence[Mapping]) -> str:
    states = [row["state"] for row in rows]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))


def _chapter(book: Book, key: str) -> str:
    """A link to a chapter, or its key alone where the book does not have it."""
    return pages.chapter_link(key) if f"book/{key}" in [name for _, name in toc_entries(book)] else code(key)


def _overview(book: Book, listed: Sequence[tuple[Path, dict | None, list[dict]]]) -> str:
    parts = [
        "(sweeps)=\n# Sweeps\n",
        "A sweep is many runs of one notebook, one for each point of a grid, a list or a zip of parameters, and each seed. "
        "{doc}`batch` says how a sweep file is written and run. This page lists those that come with the book; "
        "each that ran on the machine that built this book has a page of its own.\n",
    ]
    table = []
    for path, plan, rows in listed:
        content = _content(path)
        notebook = str(content.get("notebook", "")).removeprefix("book/").removesuffix(".ipynb")
        chapter = _chapter(book, notebook)
        title = content.get("title", path.stem)
        shown = link(title, f"sweeps/{path.stem}") if plan else plain(title)
        table.append((f"{shown}; {code(f'sweeps/{path.name}')}", chapter, _counts(rows) if plan else "not run"))
    if table:
        parts.append(pages.list_table(("Sweep", "Notebook", "Runs"), table, "50 30 20"))
    if not any(plan for _, plan, _ in listed):
        parts.append(
            "No sweep has run here yet. To make one, and its page:\n\n"
            "```bash\nmake sweep FILE=sweeps/tiny.yml\nmake book\n```\n"
        )
    return "\n".join(parts)


def _content(path: Path) -> dict:
    """What a sweep file says, as far as it can be read; a sweep that is refused when it is run still has its line here."""
    try:
        content = read_yaml(path, "sweep file")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _page(book: Book, path: Path, plan: Mapping, rows: list[dict]) -> dict[str, bytes]:
    name, base = path.stem, f"{PAGE}/{path.stem}"
    done = [row for row in rows if row["state"] == "done"]
    measures = _measures(plan, done)
    # as the columns are called: a parameter named as one of the table's own has a name of its own there
    shown = {**plan, "swept": [column(name) for name in plan["swept"]], "seed": plan["seed"] and column(plan["seed"])}
    axes = axes_of(done, shown["swept"], shown["seed"])
    files = {f"{base}/table.csv": csv_text(rows).encode(), f"{base}/table.parquet": parquet_bytes(rows)}
    parts = [heading(plan["title"]), _notice(book, plan), _introduction(book, path, plan, rows, done)]
    if done and measures:
        files[f"{base}/measures.png"] = picture(done, axes, measures)
        parts.append(_figure(name, shown, done, axes, measures))
    parts.append(_failures(rows, shown))
    parts.append("## All runs\n")
    parts.append(_table(book, name, shown, rows, measures, files, base))
    files[f"{base}.md"] = "\n".join(part for part in parts if part).encode()
    return files


def _notice(book: Book, plan: Mapping) -> str:
    """What stands above runs that belong to other sources than the book."""
    present = fingerprint(book.notebook(plan["notebook"]))
    if all(with_parameters(present, run["overrides"])["key"] == run["key"] for run in plan["runs"].values()):
        return ""
    text = "Notebook, library or requirements changed since these runs. `make sweep` with this file runs them again."
    return pages.admonition("warning", "Runs of earlier sources", text)


def _measures(plan: Mapping, done: Sequence[Mapping]) -> list[str]:
    """What is shown: the measures that the file names, else those that vary most, at most twelve."""
    there = dict.fromkeys(key for row in done for key in row if key.startswith("measure."))
    there = [name for name in there if all(is_number(row[name]) for row in done if row.get(name) is not None)]
    named = [f"measure.{name}" for name in plan["measures"] if f"measure.{name}" in there]
    varying = [name for name in there if len({row[name] for row in done if name in row}) > 1]
    return named or (varying or there)[:PANELS]


def _introduction(book: Book, path: Path, plan: Mapping, rows: Sequence[Mapping], done: Sequence[Mapping]) -> str:
    varied = ", ".join(map(code, plan["swept"]))
    common = {
        k: v for run in list(plan["runs"].values())[:1] for k, v in run["overrides"].items() if k not in plan["swept"]
    }
    others = ", ".join(code(f"{name} = {json.dumps(value)}") for name, value in common.items())
    seconds = [row["seconds"] for row in done if row["seconds"] is not None]
    took = f" A run took {pages.duration(statistics.median(seconds))} in the median, all together {pages.duration(sum(seconds))}." if seconds else ""  # fmt: skip
    file = f"sweeps/{path.name}"
    text = f"{len(rows)} runs of {_chapter(book, plan['notebook'])}, as {code(file)} asks for: {_counts(rows)}. They differ in {varied}.{took}\n"
    text += f"\nIn all of them, beside the notebook's defaults: {others}.\n" if others else ""
    source = block(path.read_text(encoding="utf-8", errors="replace").strip(), "yaml")
    return f"{text}\n{directive('dropdown', plain(file), source)}"


def _figure(name: str, plan: Mapping, done: Sequence[Mapping], axes: Sequence[str], measures: Sequence[str]) -> str:
    seeds = len({row[plan["seed"]] for row in done}) if plan["seed"] else 1
    spread = f" Means over {seeds} seeds with 95 % t-intervals." if seeds > 1 else " One seed, so without intervals."
    shown = axes[:2] if len(axes) <= 2 else axes[:1]
    more = f" A line for each combination of {', '.join(map(code, axes[1:]))}, the first {LINES} at most." if len(axes) > 2 else ""  # fmt: skip
    against = f"against {' and '.join(map(code, shown))}" if axes else "over the seeds"
    alone = f"against {' and '.join(shown)}" if axes else "over the seeds"
    names = ", ".join(measure.removeprefix("measure.") for measure in measures)
    options = {"name": f"fig-sweep-{name}", "alt": option(f"Small multiples of {names} {alone}.")}
    return directive("figure", f"{name}/measures.png", f"What the runs recorded, {against}.{spread}{more}", **options)


def _failures(rows: Sequence[Mapping], plan: Mapping) -> str:
    failed = [row for row in rows if row["state"] == "failed"]
    if not failed:
        return ""
    table = [(*(_shown(row.get(name)) for name in plan["swept"]), code(str(row["reason"])[:300])) for row in failed]
    header = (*map(plain, plan["swept"]), "Reason")
    return "## Failures\n\n" + pages.list_table(header, table, " ".join(["10"] * len(plan["swept"]) + ["50"]))


def _table(book: Book, name: str, plan: Mapping, rows: list[dict], measures: list[str], files: dict, base: str) -> str:
    columns, axes = measures[:SHOWN], axes_of(rows, plan["swept"], plan["seed"])
    points = [n for n in plan["swept"] if n in axes or n == plan["seed"]] or list(plan["swept"])
    measured = (plain(m.removeprefix("measure.").replace("_", " ")) for m in columns)
    header = (*map(plain, points), "notebook", "state", "time", *measured)
    table = []
    for row in rows[:ROWS]:
        executed, shown = None, "–"
        if row["state"] in ("done", "failed"):
            run = book.sweep_folder(name) / "runs" / row["run"]
            executed = file_inside(run, (read_result(run) or {}).get("file"))
        if executed:
            target = f"{base}/runs/{row['run']}.ipynb"
            files[target] = executed.read_bytes()
            shown = f"{{download}}`{row['run'][:6]} <{name}/runs/{row['run']}.ipynb>`"
        point, values = ([_shown(row.get(column)) for column in part] for part in (points, columns))
        time = pages.duration(row["seconds"]).replace(" ", NO_BREAK) if row["seconds"] is not None else "–"
        table.append((*point, shown, row["state"], time, *values))
    cut = f"The first {ROWS} of {len(rows)} runs. " if len(rows) > ROWS else ""
    apart = [code(name) for name in plan["swept"] if name not in points]
    cut += f"Without {' and '.join(apart)}: one value, or in step with another column. " if apart else ""
    text = f"{cut}With every parameter and everything recorded: {{download}}`CSV <{name}/table.csv>`, {{download}}`Parquet <{name}/table.parquet>`.\n\n"
    return text + pages.list_table(header, table, "auto")


def _shown(value) -> str:
    if isinstance(value, float):
        return NUMBER.format(value)
    return "–" if value is None else plain(value)
