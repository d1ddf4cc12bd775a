"""The audit's report as one page, for people: a single HTML file that fetches nothing, runs nothing and shows foreign text as text."""

from . import charts
from .html_parts import bullets, part, said, section, texts
from .page_model import model_section
from .page_pairs import pairs_section
from .page_sections import (
    copied_section,
    detectors_section,
    distribution_section,
    power_section,
    reference_name,
)
from .page_sets import sets_section
from .page_style import STYLE
from .words import finite, known, percent, plain, share, shown

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
BAD, GOOD = "copies found", "no more copies found than chance gives"
SIGNS = {BAD: ("▲", "bad"), GOOD: ("○", "good")}
LINKS = {
    "verdict": "Verdict",
    "pairs": "Pairs",
    "detectors": "Detectors",
    "power": "Power",
    "copied": "Who is copied",
    "distribution": "Distribution",
    "model": "Model",
    "sets": "What was read",
    "reading": "How to read this page",
    "method": "Method",
}
READING = (
    "A share stands with its interval: 3.2 % (2.2 to 4.6 %). The interval is for the draw of the samples, not for that of the training set.",
    "Found means: at least as near to a training image as the nearest 1 % (or the rate that is set) of images that the model cannot have copied. "
    "That rate is found by chance; what counts is the excess over it.",
    "A filled shape is the generated set, an open one the set that it is compared with. A triangle or the word found marks a pair that was found.",
    "A small p is no proof: among many samples some are near to a training image by chance. The pictures decide.",
    "A dash stands where something was not measured, or is not a number.",
)
METHOD = (
    "Each detector gives a sample a score against the training set, small where the sample is near to one training image.",
    "The same score of images that were not trained on says what is near by chance: the share of them with a score at least as small is the "
    "conformal p-value of the sample (Vovk, Gammerman, Shafer 2005, Algorithmic Learning in a Random World).",
    "A sample is found by a detector where its p-value is at most the rate set, and found by any of them at a joint rate of the same size.",
    "Shares have the interval of Wilson (1927, Journal of the American Statistical Association 22), differences of two shares that of Newcombe "
    "(1998, Statistics in Medicine 17, method 10).",
    "The rule of one ninth calls a sample memorized whose distance to the nearest training point is at most a third of that to the second "
    "nearest (Yoon et al. 2023, Diffusion Probabilistic Models Generalize when They Fail to Memorize).",
    "That near-copies are best told by comparing with further neighbours is from Carlini et al. (2023, Extracting Training Data from Diffusion Models, "
    "arXiv 2301.13188).",
    "C_T compares distances of samples to the training set with those of held-out images by the test of Mann and Whitney; below zero means nearer, "
    "that is copying (Meehan, Chaudhuri, Dasgupta 2020, arXiv 2004.05675).",
    "Authenticity is the share of samples that lie further from their nearest training image than that one lies from its own nearest neighbour "
    "(Alaa et al. 2022, How Faithful is Your Synthetic Data, arXiv 2102.08921).",
    "Precision and recall are those of Kynkäänniemi et al. (2019), density and coverage those of Naeem et al. (2020), the kernel distance that of "
    "Bińkowski et al. (2018), the Fréchet distance that of Heusel et al. (2017).",
    "The power is measured: training images are altered in known ways and handed to the same detectors.",
)


def page(report: dict, pairs: list[dict]) -> str:
    """The audit as one HTML file.

    Args:
        report: what `report.json` holds. Whatever is missing, null or not finite is said to be missing in its section.
        pairs: worst first, each with rank, sample, train, second, p, found, by, how, scores, times and images. A picture in
            `images` ("sample", "train", "second", "difference", and "aligned" for the training image as altered) is PNG as
            bytes, or SVG as text (signals, `charts.line`); either is shown as an image, in which nothing runs.

    Returns:
        The text of the file, to be written as UTF-8. Names, notes and metadata are escaped; no address is fetched, no script runs.
    """
    report = report if isinstance(report, dict) else {}
    pairs = [pair for pair in pairs if isinstance(pair, dict)]
    kind = part(part(report, "sets"), "generated").get("kind")
    body = (
        _verdict(report),
        _links(),
        pairs_section(pairs, "signal" if kind == "signals" else "image"),
        detectors_section(report),
        power_section(report),
        copied_section(report),
        distribution_section(report),
        model_section(report),
        sets_section(report),
        section("reading", "How to read this page", [bullets(READING)]),
        section("method", "Method", [f"<ol>{''.join(f'<li>{plain(one, 1000)}</li>' for one in METHOD)}</ol>"]),
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="referrer" content="no-referrer">'
        f"<title>Audit: {plain(_word(report))}</title><style>{STYLE}</style></head>\n"
        f'<body><a class="skip" href="#pairs">To the pairs</a><main>\n{chr(10).join(body)}\n</main></body></html>\n'
    )


def summary(report: dict) -> str:
    """The audit in at most 15 lines of plain text, for a terminal.

    Args:
        report: what `report.json` holds; parts may be missing.

    Returns:
        The lines, without a newline at the end.
    """
    report = report if isinstance(report, dict) else {}
    word, verdict = _word(report), part(report, "verdict")
    lines = [word[:1].upper() + word[1:]]
    width = max((len(label) for label, _ in _shares(report)), default=0)
    lines += [f"  {label:<{width}}  {share(value)}" for label, value in _shares(report)]
    lines += [shown(one, 300) for one in texts(verdict, "sentences")[:4]]
    lines += [f"Limits: {shown(one, 300)}" for one in texts(verdict, "limits")[:4]]
    lines += [_status(report)] if _status(report) else []
    return "\n".join(lines[:15]).replace("\u00a0", " ")


def _word(report: dict) -> str:
    word = part(report, "verdict").get("word")
    return shown(word) if word else "not decided"


def _shares(report: dict) -> list[tuple[str, object]]:
    """The shares that the verdict rests on: of the joint decision, or of the rule of one ninth where there is none."""
    joint, ratio, against = part(report, "joint"), part(report, "ratio"), reference_name(report)
    found, alarms, excess = (joint.get(key) for key in ("found", "false_alarms", "excess"))
    if not known(found):
        found, alarms, excess = (ratio.get(key) for key in ("generated", "held_out", "excess"))
    rows = [("generated, found", found), (f"{against}, found by chance", alarms), ("excess", excess)]
    return [(label, value) for label, value in rows if known(value)]


def _status(report: dict) -> str:
    limit = finite(report.get("fail_above"))
    if limit is None:
        return ""
    asked = f"asked to fail above {percent(limit)} of copies (--fail-above)"
    return (
        f"Failed: {asked}; the command ends with exit status 1."
        if report.get("failed")
        else f"Passed: {asked}; the command ends with exit status 0."
    )


def _verdict(report: dict) -> str:
    word, verdict = _word(report), part(report, "verdict")
    sign, kind = SIGNS.get(word, ("?", "open"))
    said_so = "".join(said(one) for one in texts(verdict, "sentences")) or said("The report gives no reasons.")
    limits = texts(verdict, "limits") or ["The report names no limits; none found never means that there are none."]
    status = (
        f'<p class="status{" bad" if report.get("failed") else ""}">{plain(_status(report))}</p>'
        if _status(report)
        else ""
    )
    rows = _shares(report)
    drawn = [(label, value) for label, value in rows if label != "excess"]
    chart = said("No share was measured.")
    if drawn:
        about = "Share found, with intervals. " + "; ".join(f"{label}: {share(value)}" for label, value in rows)
        drawing = charts.intervals(drawn, name="shares", about=about, x_label="share found")
        lines = "".join(f'<dt>{plain(label)}</dt><dd class="num">{share(value)}</dd>' for label, value in rows)
        level = f"{100 * (finite(part(report, 'setting').get('confidence')) or 0.95):g} %"
        chart = f'<figure>{drawing}<figcaption>In brackets and as lines: {level} intervals.</figcaption></figure><dl class="facts">{lines}</dl>'
    made = ", ".join(
        shown(one)
        for one in (report.get("made"), report.get("version") and f"separations {shown(report['version'])}")
        if one
    )
    return (
        f'<section id="verdict" aria-labelledby="verdict-title"><h1 id="verdict-title">Audit: does the model copy its data?'
        f'<span class="word {kind}" style="display:block"><span class="sign" aria-hidden="true">{sign}</span>{plain(word[:1].upper() + word[1:])}</span></h1>'
        f'<div class="verdict"><div>{said_so}{status}<div class="limits"><h2>Limits</h2>{bullets(limits)}</div></div><div>{chart}</div></div>'
        + (f'<p class="made">{plain(made)}</p>' if made else "")
        + "</section>"
    )


def _links() -> str:
    inside = "".join(f'<li><a href="#{key}">{words}</a></li>' for key, words in LINKS.items() if key != "verdict")
    return f'<nav aria-label="Sections"><ul>{inside}</ul></nav>'
