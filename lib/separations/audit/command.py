"""`python -m separations.audit GENERATED --train TRAIN --held-out HELD_OUT --out REPORT`: does a model copy its training set?

Exit status: 0, or 1 where --fail-above is given and the lower end of the interval of copies is above it; 2 for bad input; 130 after Ctrl-C.
"""

import argparse
import sys
import time
from pathlib import Path

from ..command_line import guarded, say, tell
from ..readable import duration
from .auditing import SEARCHES, audit
from .page import summary
from .report import PAGE, Log, opened_folder, write_report

CACHE = "cache"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return guarded("audit", lambda: _audit(options))
    except KeyboardInterrupt:
        say("separations.audit: interrupted; started again with the same words it goes on")
        return 130
    except MemoryError:
        say(
            f"separations.audit: the memory of this machine is not enough at --size {options.size or 64}: a smaller one is needed"
        )
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        allow_abbrev=False, prog="python -m separations.audit", description="Does a model copy its training set?"
    )
    parser.add_argument(
        "generated",
        help="generated images or signals: a folder, .npy, .npz, .safetensors, .parquet, .arrow, or a data set by name",
    )
    parser.add_argument("--train", required=True, help="what the model was trained on")
    parser.add_argument(
        "--held-out", help="from where the training set comes, not trained on; without it the verdict is weaker"
    )
    parser.add_argument("--out", required=True, type=_folder, help="folder of the report")
    parser.add_argument(
        "--features",
        action="append",
        metavar="NAME",
        help="extractor of features, by name or file, several times for several; none for pixels alone (default: efficientnet-lite0)",
    )
    parser.add_argument(
        "--search",
        action="append",
        metavar="NAME",
        help="pixels, aligned or patches, several times for several (default: all)",
    )
    parser.add_argument(
        "--size",
        type=int,
        help="pixels a side at which images are compared (default: that of the smallest, at most 64)",
    )
    parser.add_argument(
        "--rate",
        type=float,
        default=0.01,
        help="share of fresh images that may be called copies (default: %(default)s)",
    )
    parser.add_argument("--confidence", type=float, default=0.95, help="of all intervals (default: %(default)s)")
    parser.add_argument(
        "--model", help="what generated the images: a checkpoint of this library, or the folder of a diffusers pipeline"
    )
    parser.add_argument(
        "--planted",
        type=int,
        default=200,
        help="training images altered in each way, to see what would be found (default: %(default)s)",
    )
    parser.add_argument("--pairs", type=int, default=100, help="pairs shown (default: %(default)s)")
    parser.add_argument(
        "--drop-equal",
        action="store_true",
        help="leave out held-out images that are equal to training images: they got there by mistake",
    )
    parser.add_argument(
        "--fail-above",
        type=float,
        metavar="SHARE",
        help="exit with 1 if the lower end of the interval of copies is above this share",
    )
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: %(default)s)")
    parser.add_argument("--cache", type=Path, help="folder of decoded images, features and scores (default: OUT/cache)")
    return parser


def _folder(text: str) -> Path:
    """The folder of the report; '' would be the one where the command is given."""
    if not text.strip():
        raise argparse.ArgumentTypeError("a folder is needed")
    return Path(text)


def _audit(options: argparse.Namespace) -> int:
    features = options.features or ["efficientnet-lite0"]
    with opened_folder(options.out) as folder:
        log = Log(folder)
        log.say(f"begin: {options.generated} against {options.train}, held out {options.held_out}")
        bar = _Bar(log)
        try:
            found = audit(
                options.generated, options.train, options.held_out, features=[] if features == ["none"] else features,
                search=options.search or SEARCHES, size=options.size, rate=options.rate, confidence=options.confidence, model=options.model, planted=options.planted,
                listed=options.pairs, fail_above=options.fail_above, drop_equal=options.drop_equal, seed=options.seed, cache=options.cache or folder / CACHE,
                progress=bar,
            )  # fmt: skip
            write_report(folder, found)
        except Exception as error:
            log.say(f"stopped: {error}")
            raise
        finally:
            bar.close()
        log.say(f"done: {found.verdict}")
        tell(summary(found.report))
        tell(f"report: {folder / PAGE}", must=False)
    return 1 if found.report["failed"] else 0


class _Bar:
    """One line on stderr with what is done and how long it will take, where somebody watches; the log gets each step."""

    def __init__(self, log: Log):
        self.log, self.text, self.begin, self.first, self.shown = log, "", 0.0, 0, 0.0
        self.watched = sys.stderr is not None and sys.stderr.isatty()

    def __call__(self, text: str, done: int, total: int) -> None:
        now = time.monotonic()
        if text != self.text:
            self.log.say(text)
            self.text, self.begin, self.first = text, now, done
        if not self.watched or (now - self.shown < 0.2 and done < total):
            return
        self.shown, fresh = now, done - self.first
        left = f", {duration((now - self.begin) / fresh * (total - done))} left" if fresh and done < total else ""
        sys.stderr.write(f"\r\033[K{text}: {done:,} of {total:,}{left}")
        sys.stderr.flush()

    def close(self) -> None:
        """Clears the line."""
        if self.watched and self.text:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
