"""An audit's report and pairs as they come from an audit, made up: for the tests of its page."""

import math

import numpy as np

from separations.audit.pictures import pair_pictures
from separations.data.byte_images import load_bytes
from separations.numerics import wilson_interval


def share(k: float, m: int) -> dict:
    found = wilson_interval(round(k), m)
    return {"value": found.value, "low": found.low, "high": found.high}


def number(value: float, half: float) -> dict:
    return {"value": value, "low": value - half, "high": value + half}


def histogram(threshold: float, copies: float, rng) -> dict:
    edges = np.linspace(0, 1, 41)
    fresh = rng.beta(9, 2.2, 4000)
    scores = np.where(rng.random(4000) < copies, rng.beta(1.2, 12, 4000), rng.beta(9, 2.4, 4000))
    shares = [np.histogram(values, edges)[0] / 4000 for values in (scores, fresh)]
    return {"edges": edges.tolist(), "generated": shares[0].tolist(), "reference": shares[1].tolist()}


def report() -> dict:
    rng = np.random.default_rng(0)
    labels = {
        "pixels": "Pixels",
        "aligned": "Aligned pixels",
        "patches": "Patches",
        "digit-features": "Features of a small network",
    }
    units = {
        "pixels": "d1^2/d2^2",
        "aligned": "residual",
        "patches": "1 - places copied",
        "digit-features": "cosine distance",
    }
    copies = {"pixels": 0.03, "aligned": 0.051, "patches": 0.044, "digit-features": 0.038}
    detectors = [
        {
            "name": name,
            "label": label,
            "found": share(1000 * copies[name] + 10, 1000),
            "false_alarms": share(10, 1000),
            "excess": number(copies[name], 0.014),
            "threshold": 0.41,
            "threshold_low": 0.36,
            "threshold_high": 0.45,
            "unit": units[name],
            "histogram": histogram(0.41, copies[name], rng),
        }
        for name, label in labels.items()
    ]
    power = {
        "equal": (1, 1, 1, 1),
        "flipped": (0.07, 1, 0.12, 0.93),
        "shifted": (0.22, 0.99, 0.91, 0.88),
        "noisy": (0.98, 0.97, 0.74, 0.81),
        "blurred": (0.81, 0.85, 0.33, 0.62),
        "cropped": (0.04, 0.66, 0.71, 0.7),
        "brightened": (0.55, 0.98, 0.4, 0.9),
    }
    levels = []
    for log_snr in np.linspace(-8, 8, 17):
        scale = 1 / (1 + math.exp(log_snr))
        gap = 0.18 / (1 + math.exp(-log_snr / 1.5))
        levels.append(
            {
                "log_snr": float(log_snr),
                "sigma": math.exp(-log_snr / 2),
                "loss": {
                    "train": number(scale * (1 - gap), 0.03 * scale),
                    "held_out": number(scale * (1 + gap), 0.04 * scale),
                    "generated": number(scale, 0.03 * scale),
                    "empirical": number(scale * math.exp(-max(log_snr, -3) / 1.5 - 2), 0.01 * scale),
                },
                "auc": number(0.5 + gap, 0.02),
                "gap_closed": number(0.1 + gap, 0.05),
            }
        )
    one = {"left_out": 0, "notes": [], "examples_left_out": [], "kind": "images"}
    return {
        "format": "separations audit 1",
        "version": "0.9.0",
        "made": "2026-12-01T12:00:00Z",
        "seconds": 132.4,
        "machine": {
            "processor": "2 cores",
            "memory": "15.6 GB",
            "accelerator": None,
            "torch": "2.14.1",
            "numpy": "2.4.6",
        },
        "sets": {
            "generated": one
            | {"source": "generated/", "n": 1000, "digest": "3f" * 32, "notes": ["PNG files, 64 x 64"]},
            "train": one
            | {
                "source": "train.zip",
                "n": 3600,
                "digest": "a7" * 32,
                "left_out": 2,
                "examples_left_out": [["notes.txt", "not an image"], ["broken.png", "truncated file"]],
            },
            "held_out": one | {"source": "test/", "n": 1000, "digest": "0c" * 32},
        },
        "setting": {
            "size": 64,
            "channels": 3,
            "rate": 0.01,
            "confidence": 0.95,
            "seed": 0,
            "resized": "nothing was resized: all images are 64 x 64",
        },
        "reference": {
            "kind": "held-out",
            "m": 1000,
            "words": "The false alarms are those of 1,000 held-out images, which the model has not seen.",
        },
        "ratio": {
            "threshold": 1 / 9,
            "generated": share(24, 1000),
            "held_out": share(2, 1000),
            "excess": number(0.022, 0.011),
            "chance": 0.00042,
            "dimension": 14.2,
        },
        "detectors": detectors,
        "joint": {"found": share(62, 1000), "false_alarms": share(10, 1000), "excess": number(0.052, 0.016)},
        "power": [
            {
                "alteration": key,
                "words": f"training images, {key} at random",
                "m": 200,
                "joint": share(200 * max(values), 200),
                "detectors": {name: share(200 * v, 200) for name, v in zip(labels, values)},
            }
            for key, values in power.items()
        ],
        "duplicates": {
            "exact_groups": 12,
            "exact_copies": 31,
            "near": share(90, 3600),
            "words": "31 training images equal another one, byte for byte.",
        },
        "copied": {
            "rows": [
                {"train": f"train/{i:05d}.png", "times": 12 - i, "duplicates": (4, 3, 3, 1)[i % 4]} for i in range(8)
            ],
            "distinct": 41,
            "duplicated": share(9, 31),
            "single": share(32, 3569),
            "words": "A training image that stands twice is copied far more often than one that stands once.",
        },
        "distribution": [
            {"name": key, "label": label, "generated": number(a, h), "held_out": number(b, h), "words": words}
            for key, label, a, b, h, words in (
                (
                    "authenticity",
                    "Authenticity",
                    0.71,
                    0.79,
                    0.03,
                    "Share of samples that are no nearer to a training image than others are.",
                ),
                ("C_T", "C_T", -4.2, 0.3, 1.0, "Below zero: nearer to the training set than held-out images are."),
                ("precision", "Precision", 0.88, 0.91, 0.02, "Share of samples that look like data."),
                ("recall", "Recall", 0.61, 0.9, 0.03, "Share of the data that the samples could be."),
                (
                    "kernel distance",
                    "Kernel distance",
                    0.0123,
                    0.0004,
                    0.0011,
                    "Distance of the two laws in features; 0 for equal ones.",
                ),
                (
                    "Frechet distance",
                    "Fréchet distance",
                    26.8,
                    4.1,
                    1.2,
                    "Distance of two Gaussian laws fitted to the features.",
                ),
            )
        ],
        "quality": {
            "x": "kernel distance to held-out images",
            "y": "share of copies",
            "points": [
                {"name": "generated", "x": number(0.0123, 0.0011), "y": share(62, 1000)},
                {"name": "held-out", "x": number(0.0004, 0.0003), "y": share(10, 1000)},
                {"name": "training images", "x": number(0.0007, 0.0003), "y": share(1000, 1000)},
            ],
        },
        "model": {
            "name": "dit-64",
            "levels": levels,
            "gap_closed": number(0.12, 0.03),
            "membership": {"auc": number(0.64, 0.02), "tpr": share(34, 1000)},
            "verdict": {
                "word": "knows its training set",
                "sentences": [
                    "The model tells its training images from held-out ones at small noise.",
                    "It stands nearer to the true score.",
                ],
            },
        },
        "verdict": {
            "word": "copies found",
            "sentences": [
                "6.2 % of the generated images match a training image more closely than all but 1 % of the held-out images do.",
                "At least 3.6 % of the generated images are copies that chance does not account for.",
            ],
            "limits": [
                "The interval covers the draw of the samples, not that of the training set.",
                "Flipped copies are found by two of the four detectors only; cropped ones in two of three cases.",
            ],
        },
        "fail_above": 0.01,
        "failed": True,
    }


def images(n: int, size: int = 64) -> np.ndarray:
    """Emoji as uint8 (n, 3, size, size)."""
    return load_bytes("emoji", size=size)[:n]


def pairs(n: int = 24, size: int = 64) -> list[dict]:
    """Pairs of emoji: the first third copies, of which every second is flipped."""
    rng, data, found = np.random.default_rng(1), images(3 * n, size), []
    for i in range(n):
        train, second = data[3 * i], data[3 * i + 1]
        copy, flipped = i < n / 3, i % 2 == 1
        base = (train[..., ::-1] if flipped else train) if copy else data[3 * i + 2]
        sample = np.clip(base + rng.normal(0, 6, base.shape), 0, 255).astype(np.uint8)
        found.append(
            {
                "rank": i + 1,
                "sample": f"generated/sample-{37 * i % 1000:04d}.png",
                "train": f"train/{i:05d}.png",
                "second": f"train/{i + 900:05d}.png",
                "p": (i + 1) / 1001,
                "found": copy,
                "by": (["aligned"] if flipped else ["pixels", "aligned", "patches"]) if copy else [],
                "how": "flipped" if copy and flipped else "",
                "scores": {"pixels": 0.02 + i / n, "aligned": 0.01 + i / n},
                "train_row": i,
                "sample_row": 37 * i % 1000,
                "times": 1 + i % 4,
                "images": pair_pictures(sample, train, second),
            }
        )
    return found
