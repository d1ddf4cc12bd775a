"""The page of speed: what `make bench` measured, from the file in which `benchmarks/store.py` keeps it."""

import json
from collections.abc import Mapping, Sequence

from ..run.profiles import Book
from .markup import plain
from .pages import list_table

STORED = "book/appendix/speed.json"
OURS = "ours"

HEAD = """# How fast is it?

What this book computes in blocks, beside what else computes it: on the same tensors, in turns within one process, the medians of the turns.
*Peer over ours* above 1 means that the peer takes longer. *Memory* is what a method needs beyond the data, at its peak, in a process of
its own. *Error* is relative, against double precision and explicit differences, the worst of eight queries. A method without an error is no
answer to the question, only a floor. `make bench` measures all this anew where you are, and `python benchmarks/store.py` renews this page.
"""

NOTHING = """# How fast is it?

Nothing was measured yet: `make bench`, then `python benchmarks/store.py`.
"""

CANDIDATES = """## How many rows are left to compare

A product in few bits rules out what cannot be among the two nearest ({doc}`near_rows`). What is left of all rows for a query, held out or a
training row with a little noise; *finer* is the share of queries that were asked again with a finer product.
"""

LARGE = """## A set as large as ImageNet

{n:,} random images of {d:,} bytes ({gb:.1f} GB) in a file, {m} queries, a memory map of bytes throughout. The process that asked had
{peak:,.0f} MB of memory at its peak, PyTorch included.
"""

NETWORKS = """## Many small networks at once

A stack of {copies} networks beside as many trained one after another: the same weights, draws and optimiser, equal losses at the end.
"""

TRANSFORMERS = """## Many small transformers at once

Diffusion transformers of the recipe mnist-memorizing: the same weights, draws, optimiser and average, equal losses. Seconds of a step of
all networks, and the ratio to the stack with its quartiles, turn by turn; on the wall, and as the processor worked, all threads together. On
a processor a stack gains little: what it saves are calls, and the matrix products, which cannot be saved, are a large part of a step. On a
GPU, where small kernels wait for their launches, nothing was measured.
"""


def page(book: Book) -> str:
    """The page, as Markdown; says so where nothing was measured."""
    path = book.root / STORED
    if not path.is_file():
        return NOTHING
    found = json.loads(path.read_text(encoding="utf-8"))
    parts = [HEAD]
    for run in found.get("kernels", []):
        number = run["threads"]
        parts.append(f"## {'One thread' if number == 1 else f'{number} threads'}\n\n{_origin(run)}\n")
        parts += [_task(run["rows"], task) for task in dict.fromkeys(row["task"] for row in run["rows"])]
    if candidates := found.get("candidates"):
        parts += [CANDIDATES, _origin(candidates), _candidates(candidates["rows"])]
    if large := found.get("large"):
        parts += [_large(large)]
    if networks := found.get("networks"):
        parts += [NETWORKS.format(copies=networks.get("copies", 16)), _origin(networks), _networks(networks["rows"])]
    if transformers := found.get("transformers"):
        parts.append(TRANSFORMERS)
        for run in transformers:
            number, copies = run["threads"], run["copies"]
            parts.append(
                f"### {copies} networks, {'one thread' if number == 1 else f'{number} threads'}\n\n{_origin(run)}"
            )
            parts.append(_transformers(run["rows"]))
    return "\n".join(parts)


def _origin(run: Mapping) -> str:
    words = [run.get("date"), run.get("machine"), run.get("features")]
    return f"*{plain('; '.join(word for word in words if word))}*\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return list_table(head, rows, " ".join(["3", *["1"] * (len(head) - 1)]))


def _task(rows: Sequence[Mapping], task: str) -> str:
    lines = []
    for row in (row for row in rows if row["task"] == task):
        lines.append(
            [
                f"**{plain(row['method'])}**" if row["method"] == OURS else plain(row["method"]),
                f"{row['prepare_seconds']:.2f}",
                f"{row['seconds']:.3f}",
                "" if row["method"] == OURS else f"{row['ratio']:.2f}",
                f"{row['extra_MB']:,.0f}",
                "" if row["error"] is None else f"{row['error']:.0e}",
            ]
        )
    head = ["method", "prepare (s)", "query (s)", "peer over ours", "memory (MB)", "error"]
    size = next((row["size"] for row in rows if row["task"] == task and "size" in row), "")
    return f"### {plain(task)}\n\n{plain(size)}\n\n{_table(head, lines)}"


def _candidates(rows: Sequence[Mapping]) -> str:
    lines = []
    for row in rows:
        for kind in ("held out", "near a row"):
            one = row[kind]
            lines.append(
                [
                    f"{plain(row['set'])}, {kind}",
                    f"{row['n']:,} × {row['d']:,}",
                    "8-bit" if row["bytes"] else "float32",
                    one["format"],
                    *(f"{one[name]:g}" for name in ("median", "most of 95 %", "largest")),
                    f"{100 * one['finer']:.0f} %",
                ]
            )
    return _table(["set, queries", "rows", "stored", "product", "median", "95 %", "largest", "finer"], lines)


def _large(found: Mapping) -> str:
    words = LARGE.format(
        n=found["n"], d=found["d"], gb=found["n"] * found["d"] / 1e9, m=found["m"], peak=found["peak_MB"]
    )
    asked = (
        "index", "index again", "nearest", "score, little noise", "score, much noise", "memorization ratio",
    )  # fmt: skip
    return f"{words}\n{_origin(found)}\n{_table(['what', 'seconds'], [[name, f'{found[name]:,.1f}'] for name in asked if name in found])}"


def _networks(rows: Sequence[Mapping]) -> str:
    lines = [
        [f"{row['width']} × {row['depth']}", f"{row['parameters']:,}", f"{row['stack']:.2f}", f"{row['singles']:.2f}", f"{row['ratio']:.2f}"]
        for row in rows
    ]  # fmt: skip
    return _table(
        ["width × depth", "parameters each", "at once (s)", "one by one (s)", "one by one over at once"], lines
    )


def _transformers(rows: Sequence[Mapping]) -> str:
    lines = []
    for row in rows:
        line = [f"**{plain(row['method'])}**" if row is rows[0] else plain(row["method"])]
        for clock in ("wall", "processor"):
            one = row[clock]
            ratio = "" if row is rows[0] else f"{one['ratio']:.2f} ({one['low']:.2f} to {one['high']:.2f})"
            line += [f"{one['seconds']:.2f}", ratio]
        lines.append(line)
    head = ["method", "wall (s)", "over stacked", "processor (s)", "over stacked"]
    return _table(head, lines)
