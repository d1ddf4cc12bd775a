"""Train the shipped models again: `python -m separations.recipes_command [NAME ...]` (`make checkpoints`)."""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import torch

from . import checkpoints
from .checks import check_count
from .files import write_whole
from .recipes import NAMES, named, trained
from .training import Record

RECORD = "checkpoints.json"


def write_record(folder: Path) -> dict[str, dict]:
    """Write what the checkpoints in `folder` are to checkpoints.json beside them, and return it by name.

    For each: SHA-256 and size of the file, and from the file its recipe, how it was made (seconds, cores, threads), versions.
    """
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        content = path.read_bytes()
        _, facts = checkpoints.load_model(path)
        digest = hashlib.sha256(content).hexdigest()
        found[path.stem] = {"file": path.name, "sha256": digest, "bytes": len(content), **facts}
    write_whole(folder / RECORD, json.dumps(found, indent=1) + "\n")
    return found


def main(arguments: list[str] | None = None) -> int:
    """`python -m separations.recipes_command [NAME ...] --out FOLDER`: train shipped recipes again, in half precision; SHA-256 to a file."""
    parser = argparse.ArgumentParser(prog="python -m separations.recipes_command", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--out", default="lib/separations/assets", help="folder of the files (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (default: %(default)s)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(check_count(options.threads, "threads"))
    for name in options.names or NAMES:
        recipe, out = named(name), Path(options.out)
        work = out / f".{name}"  # a training that was killed goes on from here
        sys.stdout.write(f"{name}: {recipe.steps} steps\n")
        model, facts = trained(recipe, folder=work, shipped=False, progress=_tell)
        checkpoints.save_model(out / f"{name}.safetensors", model, dtype=torch.float16, facts=facts)
        for left in work.iterdir():
            left.unlink()
        work.rmdir()
        digest = write_record(out)[name]["sha256"]
        sys.stdout.write(f"{name}: {facts['made']['seconds']} s, SHA-256 {digest}\n")
    return 0


def _tell(record: Record) -> None:
    sys.stdout.write(f"  step {record.step}, loss {float(record.loss):.1f}, {record.seconds:.0f} s\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
