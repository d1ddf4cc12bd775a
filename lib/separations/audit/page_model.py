"""The section of the audit's page about the model itself: its losses by level of noise."""

from . import charts
from .html_parts import facts, figure, folded, part, rows, said, section, table, texts
from .words import estimate, finite, known, measure, name, number, share


def model_section(report: object) -> str:
    """What the model itself gives away: its losses by level of noise, and where it stands between the two minimizers."""
    model, title = part(report, "model"), "The model"
    if not model:
        return section("model", title, [said("The model itself was not examined: only its samples were.")])
    body = [said(one) for one in texts(model, "words")]
    lines = [("model", name(model["name"]))] if model.get("name") else []
    lines += (
        [("members told from non-members (area under the curve)", measure(model["auc"]))]
        if known(model.get("auc"))
        else []
    )
    lines += (
        [("members recognized at the rate of false alarms", share(model["tpr"]))] if known(model.get("tpr")) else []
    )
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
        "empirical": "memorizing minimizer",
    }
    losses = {
        label: [one.get(key) for one in levels]
        for key, label in names.items()
        if any(known(one.get(key)) for one in levels)
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
            "position",
            "position",
            "Where the model stands, by level of noise: 0 is the minimizer that generalizes, 1 the one that memorizes.",
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
                name=f"level-{key}",
                about=about,
                x_label="log signal-to-noise ratio",
                y_label=label,
                zero=key != "auc",
            )
            body.append(figure(drawing, text))
    columns = {"sigma": "σ", **names, "auc": "area under the curve", "position": "position"}
    columns = {key: label for key, label in columns.items() if any(known(one.get(key)) for one in levels)}
    cells = [[number(one["log_snr"]), *(measure(one.get(key)) for key in columns)] for one in levels]
    whole = table(
        "By level of noise, with intervals", ["log SNR", *columns.values()], cells, ["", *["num"] * len(columns)]
    )
    return f'<div class="charts">{"".join(body)}</div>' + folded("The same numbers with intervals", whole)
