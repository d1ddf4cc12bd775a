"""The three sets of an audit, all read in one way: images as bytes of one size and number of channels, signals as they are."""

from dataclasses import dataclass, field

import numpy as np

from ..numerics.checks import check_whole
from .sources import Source, open_source
from .store import Kept, Store

LARGEST_SIDE = 64  # pixels a side, unless asked for: copies are seen at that size, and the search stays fast
LEAST_SIDE, MOST_SIDE = 8, 512
RESIZE = (
    "every image of every set: turned as its EXIF orientation says, transparency on white, centre square, bicubic resize with "
    "antialiasing to {side} x {side} pixels, 8 bits, {colours}"
)
EXAMPLES = 20  # entries left out that are listed by name


@dataclass(frozen=True)
class AuditSet:
    """A set that was read.

    Attributes:
        role: "generated", "train" or "held_out".
        name: what the user called it.
        kind: "images" or "signals".
        values: uint8 (n, c, s, s), c = 1 or 3, a byte u standing for u / 127.5 - 1; or float32 (n, length). It may be a memory map.
        labels: what the entries are called, n of them.
        left_out: [name, reason] of what could not be read.
        digest: SHA-256 of the values.
        notes: what a reader should know.
    """

    role: str
    name: str
    kind: str
    values: np.ndarray = field(repr=False)
    labels: list[str] = field(repr=False)
    left_out: list[list[str]] = field(repr=False)
    digest: str
    notes: list[str]

    def __len__(self) -> int:
        return len(self.values)

    def words(self) -> dict:
        """What report.json says of the set."""
        return {
            "source": self.name, "n": len(self), "kind": self.kind, "left_out": len(self.left_out), "digest": self.digest,
            "notes": self.notes, "examples_left_out": self.left_out[:EXAMPLES],
        }  # fmt: skip


def read_sets(
    generated: object, train: object, held_out: object = None, *, size: int | None = None, store: Store | None = None
) -> tuple[dict[str, AuditSet], str]:
    """All sets, images cut and resized alike, signals as they are; and the words that say how.

    Args:
        generated, train, held_out: as in `sources.open_source`; held_out may be None.
        size: pixels a side, 8 to 512; None: that of the smallest images, at most 64.
        store: where decoded images are kept.

    Returns:
        Sets by role, and what was done to every image.

    Raises:
        ValueError: for sets that cannot be compared (images with signals, signals of other lengths), no readable image, a set that changed
            while it was read.
    """
    given = {"generated": generated, "train": train} | ({} if held_out is None else {"held_out": held_out})
    sources = {role: open_source(each, role) for role, each in given.items()}
    kinds = {role: source.kind for role, source in sources.items()}
    if len(set(kinds.values())) > 1:
        raise ValueError(
            f"{', '.join(f'{role} holds {kind}' for role, kind in kinds.items())}: sets of one kind are needed"
        )
    store = store or Store()
    if sources["train"].kind == "signals":
        return _read_signals(sources, store), "signals as they are, no resize"
    side = _side(sources, size)
    channels = 3 if any(_has_colour(source, side) for source in sources.values()) else 1
    try:
        sets = {role: _read_images(source, side, channels, store) for role, source in sources.items()}
    except _Colour:
        channels = 3
        sets = {role: _read_images(source, side, channels, store) for role, source in sources.items()}
    words = RESIZE.format(
        side=side, colours="three channels" if channels == 3 else "one channel, for all images are grey"
    )
    return sets, words


def _side(sources: dict[str, Source], size: int | None) -> int:
    if size is not None:
        return check_whole(size, "size", LEAST_SIDE, MOST_SIDE)
    known = [source.side for source in sources.values() if source.side]
    return max(LEAST_SIDE, min([LARGEST_SIDE, *known]))


class _Colour(Exception):
    """A colour image in a set that seemed to be grey."""


def _has_colour(source: Source, side: int) -> bool:
    for row in np.unique(np.linspace(0, source.n - 1, 16).astype(int)):
        try:
            image = source.image(int(row), side)
        except ValueError:
            continue
        if _coloured(image):
            return True
    return False


def _coloured(image: np.ndarray) -> bool:
    return bool((image[..., :1] != image).any())


def _read_images(source: Source, side: int, channels: int, store: Store) -> AuditSet:
    def produce(start: int, stop: int) -> tuple[np.ndarray, list]:
        rows, notes = [], []
        for row in range(start, stop):
            try:
                image = source.image(row, side)
            except (ValueError, OSError) as error:
                notes.append([row, " ".join(str(error).split())])
                continue
            if channels == 1 and _coloured(image):
                raise _Colour
            rows.append(image.transpose(2, 0, 1)[:channels])
        found = np.stack(rows) if rows else np.empty((0, channels, side, side), np.uint8)
        return np.ascontiguousarray(found), notes

    stamp = source.stamp()
    about = {"set": source.name, "stamp": stamp, "n": source.n}
    kept = store.array(
        "images", about, source.n, (channels, side, side), np.uint8, produce, step=256, text=f"reading {source.role}"
    )
    return _finished(source, kept, stamp)


def _read_signals(sources: dict[str, Source], store: Store) -> dict[str, AuditSet]:
    lengths = {role: source.side for role, source in sources.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"signals have lengths {', '.join(f'{n} ({role})' for role, n in lengths.items())}: one length is needed"
        )
    return {role: _read_signal_set(source, store) for role, source in sources.items()}


def _read_signal_set(source: Source, store: Store) -> AuditSet:
    def produce(start: int, stop: int) -> tuple[np.ndarray, list]:
        rows = source.signals(start, stop)
        good = np.isfinite(rows).all(1)
        notes = [[start + int(row), "has NaN or infinite values"] for row in np.flatnonzero(~good)]
        return np.ascontiguousarray(rows[good]), notes

    stamp = source.stamp()
    about = {"set": source.name, "stamp": stamp, "n": source.n}
    kept = store.array(
        "signals", about, source.n, (source.side,), np.float32, produce, step=4096, text=f"reading {source.role}"
    )
    return _finished(source, kept, stamp)


def _finished(source: Source, kept: Kept, stamp: str) -> AuditSet:
    if source.stamp() != stamp:
        raise ValueError(
            f"{source.role} = {source.name!r} changed while it was read: start again when nothing writes to it any more"
        )
    if not len(kept.values):
        reason = f" ({source.label(kept.notes[0][0])}: {kept.notes[0][1]})" if kept.notes else ""
        raise ValueError(f"{source.role} = {source.name!r}: none of its {source.n} entries can be read{reason}")
    bad = {row for row, _ in kept.notes}
    labels = [source.label(row) for row in range(source.n) if row not in bad]
    left_out = [[source.label(row), why] for row, why in kept.notes]
    return AuditSet(
        source.role, source.name, source.kind, kept.values, labels, left_out, kept.digest, list(source.notes)
    )
