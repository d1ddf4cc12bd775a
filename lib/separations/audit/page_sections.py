"""The sections of the audit's page that show what was measured: detectors, power, who is copied, distribution."""

from collections.abc import Mapping

from . import charts
from .html_parts import facts, figure, folded, part, rows, said, section, table
from .words import NONE, count, estimate, known, measure, name, number, percent, plain, share, shown


def reference_name(report: object) -> str:
    """What the generated ones are compared with, in words."""
    kind = part(report, "reference").get("kind")
    return "held-out" if kind is None or "held" in str(kind) else "training, leave one out"


def detectors_section(report: object) -> str:
    """The table of the detectors, their histograms, and the rule of one ninth."""
    found, against = rows(report, "detectors"), reference_name(report)
    body = [] if found else [said("No detector was run.")]
    if words := part(report, "reference").get("words"):
        body.append(said(words))
    if found:
        lines = [_detector_row(one) for one in found]
        joint = part(report, "joint")
        if joint:
            lines.append([plain("any of them"), *_three(joint), NONE])
        heads = ["detector", "found", f"false alarms ({against})", "excess", "threshold (its interval)"]
        body.append(table("What each detector finds, with intervals", heads, lines, ["", "num", "num", "num", "num"]))
        drawn = [_histogram(i, one, against) for i, one in enumerate(found)]
        body.append(f'<div class="charts">{"".join(drawn)}</div>')
        if not any(drawn):
            body.append(said("The scores were not kept, so there are no histograms."))
    body.append(_ratio(part(report, "ratio"), against))
    return section("detectors", "The detectors", body)


def _three(one: Mapping) -> list[str]:
    return [share(one.get(key)) for key in ("found", "false_alarms", "excess")]


def _detector_row(one: Mapping) -> list[str]:
    limits = {"value": one.get("threshold"), "low": one.get("threshold_low"), "high": one.get("threshold_high")}
    label, short = one.get("label") or one.get("name"), one.get("name")
    head = plain(label) + (f' <span class="note">({plain(short, 40)})</span>' if short and short != label else "")
    return [head, *_three(one), measure(limits)]


def _histogram(i: int, one: Mapping, against: str) -> str:
    bars, title = part(one, "histogram"), plain_label(one)
    try:
        drawing = charts.histogram(
            bars["edges"],
            bars["generated"],
            bars["reference"],
            one.get("threshold"),
            name=f"scores-{i}",
            about=f"Scores of the detector {title}, generated against {against}. Found: {share(one.get('found'))} of the generated, "
            f"{share(one.get('false_alarms'))} of the {against} ones; the threshold is {number(one.get('threshold'))}.",
            x_label=f"{shown(one.get('unit') or 'score', 40)} (small = near)",
            labels=("generated", against),
            band=(one.get("threshold_low"), one.get("threshold_high")),
        )
    except (KeyError, TypeError, ValueError):
        return ""
    caption = f"{title}: left of the threshold lie {share(one.get('found'))} of the generated and {share(one.get('false_alarms'))} of the {against} ones."
    return figure(drawing, caption)


def plain_label(one: Mapping) -> str:
    """What a detector, a measure or an alteration is called for people; not escaped."""
    return shown(one.get("label") or one.get("name") or "without a name")


def _ratio(ratio: Mapping, against: str) -> str:
    title = "<h3>The rule of one ninth</h3>"
    if not known(ratio.get("generated")):
        return title + said("The memorization ratio was not measured.")
    lines = [("generated", share(ratio["generated"]))]
    lines += [(against, share(ratio.get("held_out")))] if known(ratio.get("held_out")) else []
    lines += [("excess", share(ratio.get("excess")))] if known(ratio.get("excess")) else []
    lines += [("by chance", percent(ratio.get("chance")))] if known(ratio.get("chance")) else []
    lines += [("intrinsic dimension", number(ratio.get("dimension")))] if known(ratio.get("dimension")) else []
    text = (
        f"Share of those whose squared distance to the nearest training point is at most {number(ratio.get('threshold'))} of that to the "
        "second nearest (Yoon et al. 2023): a fixed rule, not calibrated on these data, for comparison with other work."
    )
    return title + said(text) + facts(lines)


def power_section(report: object) -> str:
    """Which share of altered training images would have been found: a heat map, and the numbers with intervals."""
    found, title = rows(report, "power"), "What this audit would have found"
    if not found:
        return section(
            "power",
            title,
            [said("The power of the audit was not measured: it is not known which altered copies it would miss.")],
        )
    names = list(dict.fromkeys(key for one in found for key in part(one, "detectors")))
    joint = [""] if any(known(one.get("joint")) for one in found) else []
    cells = [[one.get("joint") for _ in joint] + [part(one, "detectors").get(key) for key in names] for one in found]
    columns = ["any of them" for _ in joint] + [str(key) for key in names]
    kinds = [shown(one.get("alteration") or "without a name") for one in found]
    intro = (
        "Training images were altered on purpose and handed to the same detectors. The map says which share of them was found, in percent; what has a low "
        "number there may have been missed among the generated ones too."
    )
    drawing = charts.heat_map(
        [[estimate(cell)[0] for cell in row] for row in cells],
        kinds,
        columns,
        name="power-map",
        about="Share of altered training images found in percent, by alteration and detector. The same numbers stand in the table below.",
    )
    lines = [
        [plain(kind, 40), plain(one.get("words"), 300), count(one.get("m")), *map(share, row)]
        for kind, one, row in zip(kinds, found, cells)
    ]
    wide = ["", "words", "num", *["num"] * len(columns)]
    whole = table(
        "Altered training images found, with intervals",
        ["alteration", "what was done", "images", *columns],
        lines,
        wide,
    )
    box = f'<div class="scroll" role="region" aria-label="heat map of the power in percent" tabindex="0" style="max-width:{34 + 3 * len(columns)}rem">{drawing}</div>'
    return section("power", title, [said(intro), box, folded("The same numbers with intervals", whole)])


def copied_section(report: object) -> str:
    """Which training images are copied, and how that goes with duplicates in the training set."""
    copied, duplicates = part(report, "copied"), part(report, "duplicates")
    body = [] if copied else [said("Who is copied was not measured.")]
    if copied:
        body += [said(copied["words"])] if copied.get("words") else []
        lines = (
            [("distinct training images matched", count(copied["distinct"]))] if known(copied.get("distinct")) else []
        )
        lines += (
            [("copied, of those with duplicates", share(copied["duplicated"]))]
            if known(copied.get("duplicated"))
            else []
        )
        lines += [("copied, of those without", share(copied["single"]))] if known(copied.get("single")) else []
        body.append(facts(lines))
        top = [
            [name(one.get("train")), count(one.get("times")), count(one.get("duplicates"))]
            for one in rows(copied, "rows")
        ]
        if top:
            body.append(table("Matched most often", ["training image", "times", "duplicates"], top, ["", "num", "num"]))
        else:
            body.append(said("No training image was matched by a sample that was found."))
    body.append("<h3>Duplicates in the training set</h3>")
    if not duplicates:
        body.append(said("Duplicates were not looked for."))
    else:
        body += [said(duplicates["words"])] if duplicates.get("words") else []
        lines = [
            ("groups of equal images", count(duplicates.get("exact_groups"))),
            ("copies in them", count(duplicates.get("exact_copies"))),
        ]
        lines += [("nearly equal to another", share(duplicates["near"]))] if known(duplicates.get("near")) else []
        body.append(facts(lines))
    return section("copied", "Who is copied", body)


def _text(row: dict, key: str) -> str:
    """What stands there, if it is text."""
    return row[key] if isinstance(row.get(key), str) else ""


def _rest(row: dict) -> str:
    """The label of a measure without its name."""
    label, name = _text(row, "label"), _text(row, "name")
    return label[len(name) :].strip(" ,") if label.lower().startswith(name.lower()) else label


def distribution_section(report: object) -> str:
    """Measures of the whole distribution beside those of the held-out set, and quality beside copying."""
    found, quality, against = rows(report, "distribution"), part(report, "quality"), reference_name(report)
    body = []
    if found:
        lines = [
            [
                f'<div class="wide">{plain(_text(one, "name") or "measure")}<br><small>{plain(_rest(one), 300)}</small></div>',
                measure(one.get("generated")),
                f"{measure(one.get('held_out'))}<br><small>{plain(_text(one, 'beside') or against)}</small>",
                plain(one.get("words"), 600),
            ]
            for one in found
        ]
        heads = ["measure", "generated", "beside", "what it says"]
        body.append(table("Measures of the distribution, with intervals", heads, lines, ["", "num", "num", "words"]))
    else:
        body.append(said("No measure of the distribution was taken."))
    points = [(shown(one.get("name")), one.get("x"), one.get("y")) for one in rows(quality, "points")]
    points = [one for one in points if known(one[1]) and known(one[2])]
    body.append("<h3>Quality beside copying</h3>")
    if not points:
        return section("distribution", "The distribution", [*body, said("Quality was not measured beside copying.")])
    x, y = (shown(quality.get(key) or key) for key in ("x", "y"))
    about = f"Quality beside copying. {x} across, {y} upwards: " + "; ".join(
        f"{a}: {measure(b)}, {share(c)}" for a, b, c in points
    )
    drawing = charts.scatter(points, name="quality-map", about=about, x_label=x, y_label=y)
    caption = (
        f"{y[:1].upper() + y[1:]} against {x}, with intervals. A good model lies beside the {against} point: further left or lower is no better than fresh data can be; "
        "higher is copying, further right is poorer quality."
    )
    return section("distribution", "The distribution", [*body, f'<div class="charts">{figure(drawing, caption)}</div>'])
