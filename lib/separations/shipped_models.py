"""Train the shipped models again: `python -m separations.shipped_models [NAME ...]` (`make checkpoints`)."""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import torch

from .files import write_whole
from .metrics import digit_features
from .numerics.checks import check_count
from .training import checkpoints
from .training.checkpoints import RECORD
from .training.recipe import Recipe
from .training.recipes import NAMES, named, trained
from .training.state import Record


def write_record(folder: Path) -> dict[str, dict]:
    """Write what the checkpoints in `folder` are to checkpoints.json beside them, and return it by name.

    For each: SHA-256 and size of the file, and from the file its recipe, how it was made (seconds, cores, threads), versions.
    """
    found = {}
    for path in sorted(Path(folder).glob("*.safetensors")):
        content, facts = path.read_bytes(), checkpoints.facts_of(path)
        digest = hashlib.sha256(content).hexdigest()
        found[path.stem] = {"file": path.name, "sha256": digest, "bytes": len(content), **facts}
    write_whole(Path(folder) / RECORD, json.dumps(found, indent=1) + "\n")
    return found


def main(arguments: list[str] | None = None) -> int:
    """`python -m separations.shipped_models [NAME ...] --out FOLDER`: train shipped recipes again, in half precision; SHA-256 to a file."""
    parser = argparse.ArgumentParser(
        allow_abbrev=False, prog="python -m separations.shipped_models", description=main.__doc__
    )
    known = (*NAMES, digit_features.NAME)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(known)} (default: all)")
    parser.add_argument(
        "--out", default="lib/separations/training/assets", help="folder of the files (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        torch.set_num_threads(check_count(options.threads, "threads"))
        names, out = options.names or list(known), Path(options.out)
        wanted = [named(name) for name in names if name != digit_features.NAME]
        for path in sorted(out.glob("*.safetensors")):  # what cannot be recorded is said before hours of training
            if path.stem not in names:
                checkpoints.facts_of(path)
        for recipe in wanted:
            _train(recipe, out)
        if digit_features.NAME in names:
            _train_digit_features(out)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        return 2 if isinstance(error, ValueError) else 1
    return 0


def _train(recipe: Recipe, out: Path) -> None:
    """Train one recipe, write its model and the record, and remove what training left beside them."""
    name = recipe.name
    work = out / f".{name}"  # a training that was killed goes on from here
    sys.stdout.write(f"{name}: {recipe.steps} steps\n")
    model, facts = trained(recipe, folder=work, shipped=False, progress=_tell)
    checkpoints.save_model(out / f"{name}.safetensors", model, dtype=torch.float16, facts=facts)
    for left in work.glob(f"{name}-*.safetensors"):
        left.unlink()
    if not any(work.iterdir()):
        work.rmdir()
    digest = write_record(out)[name]["sha256"]
    sys.stdout.write(f"{name}: {facts['made']['seconds']} s, SHA-256 {digest}\n")


def _train_digit_features(out: Path) -> None:
    """Train the network behind the features of digits, write it and the record."""
    name = digit_features.NAME
    sys.stdout.write(f"{name}: {digit_features.TRAINING['passes']} passes\n")
    out.mkdir(parents=True, exist_ok=True)
    digit_features.train_and_save(out / f"{name}.safetensors", report=_tell_pass)
    sys.stdout.write(f"{name}: SHA-256 {write_record(out)[name]['sha256']}\n")


def _tell_pass(number: int, loss: float) -> None:
    sys.stdout.write(f"  pass {number}, loss {loss:.3f}\n")
    sys.stdout.flush()


def _tell(record: Record) -> None:
    sys.stdout.write(f"  step {record.step}, loss {float(record.loss):.1f}, {record.seconds:.0f} s\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
