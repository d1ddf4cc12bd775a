"""Features that see digits: a small network that has learned to read them, as Inception has for photographs.

Features of a network trained on photographs tell a grey level of background noise from black and hardly one digit from another:
on MNIST, noise of 2.5 grey levels moves them further than most models do. This network has learned to tell digits apart under
shifts, turns and noise, so it sees strokes and does not see what no eye does. Its features, on the scale of the digits it was
trained on, have mean square 1. Practice since LeCun et al. (1998); as a basis of Fréchet distances Bińkowski et al. (2018).

`python -m separations.shipped_models digit-features` trains it again (about two minutes on one core).
"""

import math
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..data.data_set import DataSet
from ..data.sets import load
from ..machine import cores, versions
from ..numerics.seeds import seeded
from ..training import checkpoints
from .images import check_images, quantised

NAME = "digit-features"  # of the shipped file
SIZE = 28  # pixels a side
DIMENSION = 64
BATCH = 250
TRAINING = {
    "data": "mnist5k",
    "held_out": 1000,
    "seed": 0,
    "passes": 16,
    "batch": 100,
    "lr": 2e-3,
    "weight_decay": 1e-2,
}
AUGMENTATION = {"turn": 12.0, "zoom": 0.1, "shift": 3.0, "noise": 0.2}  # degrees, share, pixels, sd on [-1, 1]


class DigitNetwork(nn.Module):
    """Two convolutions, one hidden layer of D = 64 features, ten classes. forward: images (m, 1, 28, 28) -> logits (m, 10)."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 16, 5, padding=2), nn.Conv2d(16, 32, 5, padding=2)
        self.hidden, self.last = nn.Linear(32 * 7 * 7, DIMENSION), nn.Linear(DIMENSION, 10)

    def features(self, images: Tensor) -> Tensor:
        """(m, 1, 28, 28) -> (m, 64), not negative."""
        x = functional.max_pool2d(functional.relu(self.first(images)), 2)
        x = functional.max_pool2d(functional.relu(self.second(x)), 2)
        return functional.relu(self.hidden(x.flatten(1)))

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.features(images))


class DigitFeatures:
    """Features (m, 64) of digits by the shipped network. Colour becomes grey, other sizes 28 x 28; images are rounded to 256 levels.

    The network was trained on those 4,000 of the 5,000 digits that are held out of no model of this book; the 1,000 held-out ones are new to it.
    """

    name, dimension = "digit network at 28 px", DIMENSION

    def __init__(self):
        self._network: DigitNetwork | None = None

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        if self._network is None:
            self._network = shipped_network()
        self._network.to(check_images(images).device)
        parts = (as_digits(part) for part in images.detach().split(BATCH))
        return torch.cat([self._network.features(part) for part in parts])


def as_digits(images: Tensor) -> Tensor:
    """Images (m, C, H, W) in [-1, 1] as the network takes them: grey, 28 x 28, 256 levels, float32 (m, 1, 28, 28)."""
    grey = images.float().mean(1, keepdim=True)
    if grey.shape[2:] != (SIZE, SIZE):
        grey = functional.interpolate(grey, (SIZE, SIZE), mode="bilinear", antialias=True)
    return quantised(grey)


def shipped_network() -> DigitNetwork:
    """The network that comes with the library, in float32, for inference."""
    tensors, _ = checkpoints.load_weights(checkpoints.shipped(NAME))
    network = DigitNetwork()
    network.load_state_dict({key: value.float() for key, value in tensors.items()})
    return network.eval().requires_grad_(False)


def training_digits() -> tuple[DataSet, DataSet]:
    """The digits that the network is trained on, and those held out of it and of every model of the book."""
    held_out, pool = load(TRAINING["data"]).split(TRAINING["held_out"])
    return pool, held_out


def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images (m, 1, 28, 28), each turned, zoomed, shifted and made noisy at random, as `AUGMENTATION` says; black outside."""
    m, own = len(images), AUGMENTATION

    def even(*shape: int) -> Tensor:
        return 2 * torch.rand(shape, generator=generator) - 1

    angle, zoom, shift = even(m) * math.radians(own["turn"]), 1 + even(m) * own["zoom"], even(m, 2) * own["shift"] / 14
    rows = [
        [angle.cos() * zoom, -angle.sin() * zoom, shift[:, 0]],
        [angle.sin() * zoom, angle.cos() * zoom, shift[:, 1]],
    ]
    affine = torch.stack([torch.stack(row, 1) for row in rows], 1)
    grid = functional.affine_grid(affine, images.shape, align_corners=False)
    moved = functional.grid_sample(images + 1, grid, align_corners=False) - 1
    noise = own["noise"] * torch.rand(m, 1, 1, 1, generator=generator) * torch.randn(moved.shape, generator=generator)
    return (moved + noise).clamp(-1, 1)


def train_network(passes: int = TRAINING["passes"], report=None) -> tuple[DigitNetwork, dict]:
    """Train the network from its seed; returns it with features of mean square 1 on its digits, and what it reads right.

    report: called with the number of each pass and its mean loss.
    """
    pool, held_out = training_digits()
    generator = seeded(TRAINING["seed"], 1)
    with torch.random.fork_rng(devices=[]):  # layers draw their start from the global generator
        torch.manual_seed(TRAINING["seed"])
        network = DigitNetwork()
    steps = passes * pool.n // TRAINING["batch"]
    optimiser = torch.optim.AdamW(network.parameters(), lr=TRAINING["lr"], weight_decay=TRAINING["weight_decay"])
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    total, per_pass = 0.0, steps // passes
    for step in range(1, steps + 1):
        rows = torch.randint(pool.n, (TRAINING["batch"],), generator=generator)
        loss = functional.cross_entropy(network(augmented(pool.x[rows], generator)), pool.labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        decay.step()
        total += float(loss.detach())
        if step % per_pass == 0 and report is not None:
            report(step // per_pass, total / per_pass)
            total = 0.0
    return _in_unit(network, pool.x), {
        "read right, training": accuracy(network, pool),
        "read right, held out": accuracy(network, held_out),
    }


@torch.no_grad()
def _in_unit(network: DigitNetwork, images: Tensor) -> DigitNetwork:
    """The same classifier with features of mean square 1."""
    size = torch.cat([network.features(part) for part in images.split(BATCH)]).square().mean().sqrt()
    network.hidden.weight /= size
    network.hidden.bias /= size
    network.last.weight *= size
    return network.eval().requires_grad_(False)


@torch.no_grad()
def accuracy(network: DigitNetwork, digits: DataSet) -> float:
    """Share of digits that the network reads right."""
    read = torch.cat([network(as_digits(part)).argmax(1) for part in digits.x.split(BATCH)])
    return float((read == digits.labels).double().mean())


def train_and_save(path: Path, report=None) -> str:
    """Train the network and write it in half precision; returns the SHA-256 of the file."""
    start = time.monotonic()
    network, found = train_network(report=report)
    made = {"seconds": round(time.monotonic() - start), "cores": cores(), "threads": torch.get_num_threads()}
    tensors = {key: value.to(torch.float16) for key, value in network.state_dict().items()}
    facts = {"training": TRAINING, "augmentation": AUGMENTATION, **found, "made": made, "versions": versions()}
    return checkpoints.save_weights(path, tensors, facts)
