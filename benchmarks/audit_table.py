"""The power table of an audit's report as the page shows it: `python benchmarks/audit_table.py report/report.json book/appendix/audit_photographs.csv`."""

import argparse
import csv
import io
import json
from pathlib import Path

from separations.files import write_whole


def table(report: dict) -> str:
    """A row an alteration, a column a detector: percent found, with its interval."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [each["name"] for each in report["detectors"]]
    writer.writerow(["alteration", *names, "all together"])
    for row in report["power"]:
        writer.writerow([row["alteration"], *(said(row["detectors"][name]) for name in names), said(row["joint"])])
    return text.getvalue()


def said(share: dict) -> str:
    """'98 [95, 99]'."""
    value, low, high = (f"{100 * share[key]:.0f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    write_whole(options.out, table(json.loads(options.report.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
