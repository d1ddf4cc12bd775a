"""The section of the audit's page about the model itself: its losses by level of noise."""

from . import charts
from .html_parts import facts, figure, folded, part, rows, said, section, table, texts
from .words import estimate, finite, known, measure, name, number, share


def model_section(report: object) -> str:
    """What the model itself gives away: its losses by level of noise, and where it stands between the two minimizers."""
    model, title = part(report, "model"), "The model"
    if not model:
        return section("model", title, [said("The model itself was not examined: only its samples were.")])
    body = [said(one) for one in [*texts(model, "words"), *texts(part(model, "verdict"), "sentences")]]
    lines = [("model", name(model["name"]))] if model.get("name") else []
    guess = part(model, "membership")
    for key, label, form in (
        ("gap_closed", "share of the loss gap closed, all levels together", measure),
        ("auc", "members told from others by their loss: area under the curve", measure),
        ("tpr", "members recognized at 1 % false alarms", share),
    ):
        value = model.get(key) if key == "gap_closed" else guess.get(key)
        lines += [(label, form(value))] if known(value) else []
    body.append(facts(lines))
    levels = [one for one in rows(model, "levels") if known(one.get("log_snr"))]
    levels.sort(key=lambda one: finite(one["log_snr"]))
    body.append(_levels(levels) if levels else said("No losses by level of noise were kept."))
    return section("model", title, body)


def _levels(levels: list[dict]) -> str:
    at = [one["log_snr"] for one in levels]
    names = {
        "train": "training images",
        "held_out": "held-out images",
        "generated": "generated images",
        "empirical": "exact empirical score",
    }
    losses = {
        label: [part(one, "loss").get(key) for one in levels]
        for key, label in names.items()
        if any(known(part(one, "loss").get(key)) for one in levels)
    }
    body = []
    if losses:
        values = [v for row in losses.values() for one in row if (v := estimate(one)[0]) is not None]
        log = min(values) > 0 and max(values) > 30 * min(values)
        about = f"Losses of the model against the log signal-to-noise ratio. Lines for {', '.join(losses)}; the numbers stand in the table below."
        drawing = charts.lines(
            at, losses, name="losses", about=about, x_label="log signal-to-noise ratio", y_label="loss", log=log
        )
        body.append(
            figure(
                drawing,
                "Loss of the denoiser, by level of noise, with intervals. Where the training images lie below the held-out ones, the model knows them.",
            )
        )
    for key, label, text in (
        (
            "gap_closed",
            "share of the gap closed",
            "How far the network has gone from its loss on held-out images to the loss of the exact empirical score: 0 knows nothing of the training set, 1 is that score.",
        ),
        (
            "auc",
            "area under the curve",
            "How well the loss tells training images from held-out ones, by level of noise: one half is chance.",
        ),
    ):
        values = [one.get(key) for one in levels]
        if any(map(known, values)):
            about = f"{label} against the log signal-to-noise ratio. The numbers stand in the table below."
            drawing = charts.lines(
                at,
                {label: values},
                name="level-" + key.replace("_", "-"),
                about=about,
                x_label="log signal-to-noise ratio",
                y_label=label,
                zero=key != "auc",
            )
            body.append(figure(drawing, text))
    columns = {"sigma": "σ", **names, "auc": "area under the curve", "gap_closed": "share of the gap closed"}
    flat = [dict(part(one, "loss")) | one for one in levels]
    columns = {key: label for key, label in columns.items() if any(known(one.get(key)) for one in flat)}
    cells = [[number(one["log_snr"]), *(measure(one.get(key)) for key in columns)] for one in flat]
    whole = table(
        "By level of noise, with intervals", ["log SNR", *columns.values()], cells, ["", *["num"] * len(columns)]
    )
    return f'<div class="charts">{"".join(body)}</div>' + folded("The same numbers with intervals", whole)
