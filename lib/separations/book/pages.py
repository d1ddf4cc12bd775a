"""Generated text of the book: tables, the map of chapters, the notes that a chapter carries.

Everything here takes plain values and returns MyST Markdown; `separations.book.staging` decides what to write where, and
`separations.book.markup` escapes what was not written for a page.
"""

from collections.abc import Iterable, Mapping, Sequence

from ..readable import duration, memory
from .markup import block, code, directive, one_line, plain, prose

VERSIONS_SHOWN = ("python", "torch", "numpy", "separations")


def list_table(header: Sequence[str], rows: Iterable[Sequence[object]], widths: str, kind: str = "wide") -> str:
    """A MyST list table inside a container of class `kind`, which scrolls sideways on a narrow screen.

    header, rows: cells as MyST in one line, escaped where they come from elsewhere.
    """
    lines = [f"::::{{container}} {kind}", ":::{list-table}", ":header-rows: 1", f":widths: {widths}", ""]
    for row in [header, *rows]:
        cells = [one_line(cell) or "–" for cell in row]
        lines += [f"{'* -' if i == 0 else '  -'} {cell}" for i, cell in enumerate(cells)]
    return "\n".join([*lines, ":::", "::::", ""])


def admonition(kind: str, title: str, body: str) -> str:
    """A MyST admonition of a given class ('danger', 'warning', 'note'). title: plain text; body: MyST."""
    return directive("admonition", plain(title), body, **{"class": kind})


def failed_notice(error: str, cell: int | None, partial: bool = True) -> str:
    """What stands at the top of a chapter that failed. partial: whether what was computed until then is shown."""
    where = f" in code cell {cell}" if cell else ""
    shown = (
        f"The last execution stopped{where}. Below stands what was computed until then, and the error; "
        "everything after it was not run."
    )
    text = shown if partial else "Its execution left nothing that can be shown: the chapter stands without outputs."
    return admonition("danger", "This chapter failed", f"{text}\n\n{block(one_line(error)[:400])}")


def missing_notice(reason: str) -> str:
    """What stands at the top of a chapter without outputs that belong to it."""
    text = f"{plain(reason)} It is shown without outputs. `make book` executes it."
    return admonition("danger", "This chapter was not executed", text)


def run_note(result: Mapping) -> str:
    """Closing note of an executed chapter: profile, seconds, memory, versions."""
    changed = ", ".join(code(f"{name} = {value!r}") for name, value in result["overrides"].items())
    how = "at its defaults" if not changed else f"with {changed}"
    found = result["versions"]
    versions = ", ".join(f"{name} {plain(found[name])}" for name in VERSIONS_SHOWN if name in found)
    threads = f"{result['threads']} thread{'s' if result['threads'] != 1 else ''}"
    text = (
        f"Executed by papermill {how} ({plain(result['profile'])} profile) in {duration(result['seconds'])} with {threads}; "
        f"peak memory {memory(result['peak_memory_mb'])}; {versions}."
    )
    return directive("container", "run-note", text)


def kept_note(result: Mapping | None, why: str) -> str:
    """Closing note of a chapter that is shown as it is kept, with its last run where one is known."""
    if result is None:
        return directive(
            "container", "run-note", f"Shown with the outputs that are kept with the notebook. {plain(why)}"
        )
    known = f"in {duration(result['seconds'])}; peak memory {memory(result.get('peak_memory_mb'))}"
    versions = ", ".join(
        f"{name} {plain(result['versions'][name])}" for name in VERSIONS_SHOWN if name in result["versions"]
    )
    text = (
        f"Shown with the outputs that are kept with the notebook; they were made at its defaults {known}; {versions}."
    )
    return directive("container", "run-note", text)


BESIDE = (  # pages of the appendix that a reader of a chapter may look for
    ("book/appendix/api", "what the names in the code are"),
    ("book/appendix/speed", "what such computations cost"),
    ("book/landscape/67_map_of_the_field", "who else says what"),
    ("book/notation", "symbols"),
    ("book/appendix/results", "all findings"),
)


def beside(listed: Sequence[str]) -> str:
    """The line at the end of a chapter that leads to pages about all chapters; empty where the book has none of them."""
    links = [f"[{words}](/{name}.md)" for name, words in BESIDE if name in listed]
    return directive("container", "beside-note", f"Beside this chapter: {', '.join(links)}.") if links else ""


def chapter_link(key: str) -> str:
    """A link to a chapter that is in the book."""
    return f"{{doc}}`/book/{key}`"


def chapter_map(chapters: Sequence[Mapping]) -> str:
    """Map of the chapters for the index: link, claim, time, memory, evidence.

    chapters: mappings with key, part, claim, seconds, peak_memory_mb, verdicts (a list) and state.
    """
    rows = [
        (
            chapter_link(chapter["key"]),
            prose(chapter["claim"]),
            duration(chapter["seconds"]) if chapter["state"] != "failed" else "**failed**",
            memory(chapter["peak_memory_mb"]),
        )
        for chapter in chapters
    ]
    if not rows:
        return "No chapter yet.\n"
    measured = [chapter["seconds"] for chapter in chapters if chapter["seconds"] is not None]
    total = f"Measured in this build: {len(measured)} of {len(rows)} chapters in {duration(sum(measured))}, one after another.\n"
    table = list_table(("Chapter", "Claim", "Time", "Peak memory"), rows, "34 46 10 10")
    return f"{table}\n{total if measured else ''}"
