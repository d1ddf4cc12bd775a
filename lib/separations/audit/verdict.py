"""The verdict in words: never "no copies", and never without what the audit could not have seen."""

from .words import percent, share

MARGIN = 0.02  # a share of copies so small that an interval below it counts as no more than chance
WEAK = 0.5  # power below which an alteration is named among the limits
COPIES, CHANCE, OPEN = "copies found", "no more copies found than chance gives", "not decided"


def verdict(report: dict) -> dict:
    """`report["verdict"]`: word, sentences, limits.

    Copies are found where the interval of their share beyond false alarms lies above 0; as many as chance gives where it holds 0 and lies below
    2 % (or below fail_above) and exact copies would have been found; else it is not decided.
    """
    joint, reference = report["joint"], report["reference"]
    excess, margin = joint["excess"], report["fail_above"] or MARGIN
    blind = (
        bool(report["power"]) and report["power"][0]["joint"]["value"] < WEAK
    )  # the first row: unaltered training points
    word = COPIES if excess["low"] > 0 else CHANCE if excess["high"] <= margin and not blind else OPEN
    beside = "held-out images" if reference["kind"] == "held-out" else "training images, each against the others,"
    if report["sets"]["train"]["kind"] == "signals":
        beside = beside.replace("images", "signals")
    sentences = [
        f"{share(joint['found'])} of {report['sets']['generated']['n']:,} generated samples are as near to a training point as "
        f"{share(joint['false_alarms'])} of {beside} are.",
        f"Beyond that chance level: {share(excess)} copies.",
    ]
    if report["failed"]:
        sentences.append(
            f"The lower end of that interval is above the allowed {percent(report['fail_above'])}: failed."
        )
    elif report["fail_above"] is not None:
        sentences.append(f"The lower end of that interval is not above the allowed {percent(report['fail_above'])}.")
    return {"word": word, "sentences": sentences, "limits": _limits(report)}


def _limits(report: dict) -> list[str]:
    """What this audit could not have seen."""
    found, m = [], report["sets"]["generated"]["n"]
    weak = [row for row in report["power"] if row["joint"]["value"] < WEAK]
    if weak:
        words = ", ".join(f"{row['alteration']} {percent(row['joint']['value'])}" for row in weak)
        found.append(f"Of training points altered in these ways it finds less than half: {words}.")
    if not report["power"]:
        found.append("What it would have found was not tried (planted = 0).")
    found.append(f"Copies rarer than about 1 in {max(1, m // 3):,} would not be seen among {m:,} samples; copies of a kind that no detector here "
                 "looks for are not seen at all.")  # fmt: skip
    if report["reference"]["kind"] != "held-out":
        found.append(
            "Without a held-out set the chance level rests on the training set itself; near-duplicates in it hide copies."
        )
    elif report["reference"]["m"] < 1000:
        low, high = report["joint"]["false_alarms"]["low"], report["joint"]["false_alarms"]["high"]
        found.append(
            f"{report['reference']['m']:,} held-out points fix the share of false alarms no better than to {percent(low)} to {percent(high)}; more of them narrow it."
        )
    if equal := report["reference"].get("equal"):
        found.append(
            f"{equal:,} held-out points are equal to training points and were left out; if the source has duplicates, they belong in, and "
            "generated ones that are equal by the same chance are counted as copies here."
            if report["setting"]["drop_equal"]
            else f"{equal:,} held-out points are equal to training points. As the source has duplicates, an exact copy is no evidence here; "
            "if they were trained on by mistake, leave them out with --drop-equal."
        )
    left = {role: each["left_out"] for role, each in report["sets"].items() if each and each["left_out"]}
    if left:
        found.append(
            f"Could not be read and was not judged: {', '.join(f'{n:,} of {role}' for role, n in left.items())}."
        )
    return found
