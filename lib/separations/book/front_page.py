"""What the first page shows of the chapters: two figures of theirs, as they came out in this build, and what the book found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .figures import figure_png
from .markup import directive, one_line
from .pages import chapter_link
from .results_page import sentences
from .summary import Summary, deviations

FINDINGS = "book/_generated/findings.md"


@dataclass(frozen=True)
class Shown:
    """A figure that the first page shows. figure: its name in a chapter; name: of the files here; says: what stands below it."""

    figure: str
    name: str
    says: str

    @property
    def picture(self) -> str:
        """Path of the PNG."""
        return f"book/_generated/{self.name}.png"

    @property
    def text(self) -> str:
        """Path of the text that the first page includes."""
        return f"book/_generated/{self.name}.md"


WHO_SITS_WHERE = Shown(
    "fig-who-sits-where",
    "who_sits_where",
    "Copies upward, agreement with a twin of disjoint data to the right: closed forms of the theories (squares), and networks along "
    "their training, from the hollow points.",
)
REMEDIES = Shown(
    "fig-remedies-at-a-glance",
    "remedies",
    "Above: copies against the loss on held-out images. The thick line is training less; a remedy has to come to its left. Below: "
    "for each remedy, at its best setting, the held-out loss less that of training less at no more copies, with 95 % intervals. "
    "Green is decidedly better, red decidedly worse.",
)
SHOWN = (WHO_SITS_WHERE, REMEDIES)


def front_files(
    notebooks: Sequence[tuple[str, Mapping]], summary: Summary, evidence: Sequence[Mapping]
) -> dict[str, bytes]:
    """What the first page includes: pictures and the texts that show them, or lines that say that they are not there; the findings.

    Args:
        notebooks: the chapters by key, as the book shows them.
        summary: the sentences, and the verdicts that they rest on.
        evidence: of this build.

    Returns:
        Relative path -> content.
    """
    lines = sentences(summary)
    if deviations(summary, evidence):
        lines += [
            "",
            "*In this build some of the verdicts behind these sentences read otherwise, or were not run: the results say which.*",
        ]
    files = {FINDINGS: ("\n".join(lines) + "\n").encode()}
    for shown in SHOWN:
        found = [(key, picture) for key, notebook in notebooks if (picture := figure_png(notebook, shown.figure))]
        if not found:
            files[shown.text] = b"*This picture was not drawn in this build.*\n"
            continue
        key, (png, alt) = found[0]
        body = f"{shown.says} {chapter_link(key)} explains it."
        text = directive("figure", f"/{shown.picture}", body, alt=one_line(alt))
        files |= {shown.picture: png, shown.text: text.encode()}
    return files
