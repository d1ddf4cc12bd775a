"""Extractors by name and by file: the same features as the network itself, and clear errors."""

import pickle
import sys
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from separations.audit import extractors
from separations.audit.extractors import IMAGENET_MEAN, IMAGENET_STD, open_extractor, sscd_file

SIZE = 32


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, x):
        return self.layers(x)


def images(channels: int = 3, size: int = SIZE) -> torch.Tensor:
    return 2 * torch.rand(5, channels, size, size, generator=torch.Generator().manual_seed(1)) - 1


def normalised(x: torch.Tensor, mean=IMAGENET_MEAN, std=IMAGENET_STD) -> torch.Tensor:
    mean, std = (torch.tensor(each)[:, None, None] for each in (mean, std))
    return ((x.expand(-1, 3, -1, -1) + 1) / 2 - mean) / std


@pytest.fixture(scope="module")
def scripted(tmp_path_factory):
    file = tmp_path_factory.mktemp("networks") / "small.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(Small().eval(), torch.zeros(2, 3, SIZE, SIZE)), str(file))
    return file


@pytest.mark.parametrize("channels", [1, 3])
def test_torchscript_gives_the_features_of_the_network(scripted, channels):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        extractor = open_extractor(str(scripted), resolution=SIZE)
    x = images(channels)
    with torch.no_grad():
        expected = Small()(normalised(x))
    found = extractor(x)
    assert extractor.dimension == 8 and found.dtype == torch.float32 and not found.requires_grad
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(extractor(x[2:3]), found[2:3], rtol=1e-5, atol=1e-6)


def test_a_name_tells_the_weights_the_resolution_and_other_norms(scripted, tmp_path):
    name = open_extractor(str(scripted)).name
    digest = extractors.file_hash(scripted)[:8]
    assert name == f"small.pt {digest} at 224 px"
    other = open_extractor(str(scripted), resolution=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    assert other.name == f"small.pt {digest} at 64 px, mean 0.5 0.5 0.5, std 0.5 0.5 0.5"
    x = images(size=64)
    with torch.no_grad():
        torch.testing.assert_close(other(x), Small()(x), rtol=1e-5, atol=1e-6)
    assert open_extractor("pixels").name == "pixels" and open_extractor(
        "efficientnet-lite0", resolution=32
    ).name.endswith("at 32 px")


def test_a_layer_before_the_last_one_may_not_be_missing(tmp_path):
    import torchvision

    state = torchvision.models.mobilenet_v3_small().state_dict()
    save_file(
        {key: value for key, value in state.items() if not key.startswith("classifier.3")}, tmp_path / "a.safetensors"
    )
    assert (
        open_extractor("torchvision:mobilenet_v3_small", tmp_path / "a.safetensors", resolution=SIZE).dimension == 1024
    )
    save_file(
        {key: value for key, value in state.items() if not key.startswith("classifier")}, tmp_path / "b.safetensors"
    )
    with pytest.raises(ValueError, match=r"2 are missing \(classifier.0.weight"):
        open_extractor("torchvision:mobilenet_v3_small", tmp_path / "b.safetensors", resolution=SIZE)


def test_weights_of_an_architecture_of_torchvision(tmp_path):
    import torchvision

    torch.manual_seed(0)
    network = torchvision.models.squeezenet1_1().eval()
    resnet = torchvision.models.resnet18().eval()
    torch.save({"state_dict": {f"module.{k}": v for k, v in resnet.state_dict().items()}}, tmp_path / "r.pth")
    save_file(resnet.state_dict(), tmp_path / "r.safetensors")
    spec = f"torchvision:resnet18:{tmp_path / 'r.pth'}"
    extractor = open_extractor(spec, resolution=SIZE)
    same = open_extractor("torchvision:resnet18", tmp_path / "r.safetensors", resolution=SIZE)
    resnet.fc = nn.Identity()
    x = images()
    with torch.no_grad():
        expected = resnet(normalised(x))
    assert extractor.dimension == 512 and extractor.name.startswith("resnet18 of torchvision, ")
    torch.testing.assert_close(extractor(x), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(same(x), expected, rtol=1e-4, atol=1e-5)
    assert same.name != extractor.name
    torch.save(network.state_dict(), tmp_path / "s.pth")
    with pytest.raises(ValueError, match="weights of another network than 'resnet18'"):
        open_extractor("torchvision:resnet18", tmp_path / "s.pth")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_no_pickle_is_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    for name, write in (
        ("a.pth", lambda f: torch.save({"w": Trap()}, f)),
        ("b.pth", lambda f: f.write_bytes(pickle.dumps(Trap()))),
    ):
        write(tmp_path / name)
        with pytest.raises(ValueError, match="holds no plain weights"):
            open_extractor("torchvision:resnet18", tmp_path / name)
    (tmp_path / "c.pt").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match="is not TorchScript"):
        open_extractor(str(tmp_path / "c.pt"))
    assert not (tmp_path / "sprung").exists()


def test_an_onnx_network_gives_its_features(tmp_path):
    """Where onnxruntime and the exporter of PyTorch are at hand; neither is needed by the library."""
    pytest.importorskip("onnxruntime", reason="onnxruntime, an optional package, is not installed")
    pytest.importorskip("onnx", reason="onnx, with which the network of this test is written, is not installed")
    file = tmp_path / "small.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Small().eval(), (torch.zeros(2, 3, SIZE, SIZE),), str(file), dynamo=False, input_names=["x"],
                          dynamic_axes={"x": {0: "batch"}})  # fmt: skip
    extractor = open_extractor(str(file), resolution=SIZE)
    with torch.no_grad():
        torch.testing.assert_close(extractor(images()), Small()(normalised(images())), rtol=1e-4, atol=1e-5)
    (tmp_path / "no.onnx").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="is not an ONNX network"):
        open_extractor(str(tmp_path / "no.onnx"))


def test_what_is_not_installed_is_said(tmp_path, monkeypatch):
    (tmp_path / "some.onnx").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match="pip install onnxruntime"):
        open_extractor(str(tmp_path / "some.onnx"))
    monkeypatch.setitem(sys.modules, "timm", None)
    torch.save({"w": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="pip install timm"):
        open_extractor(f"timm:vit_small_patch14_dinov2:{tmp_path / 'w.pth'}")
    monkeypatch.setattr(extractors, "SSCD_PACKAGE", "no-such-package-at-all")
    with pytest.raises(ValueError, match=r"pip install no-such-package-at-all onnxruntime"):
        open_extractor("sscd")


def test_a_file_of_sscd_is_known_by_its_digest(tmp_path):
    (tmp_path / "sscd.onnx").write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"its SHA-256 .* is not 240436cc"):
        open_extractor("sscd", tmp_path / "sscd.onnx")
    with pytest.raises(ValueError, match="normalises by itself"):
        open_extractor("sscd", mean=(0, 0, 0))


def test_sscd_sees_copies_where_it_is_installed():
    pytest.importorskip("onnxruntime", reason="onnxruntime, an optional package, is not installed")
    try:
        sscd_file()
    except ValueError as error:
        pytest.skip(str(error))
    extractor = open_extractor("sscd", resolution=64)
    x = torch.nn.functional.interpolate(images(size=8), (SIZE, SIZE), mode="bicubic").clamp(-1, 1)
    features = extractor(x)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(5), rtol=1e-3, atol=0)
    closeness = features @ extractor(x.flip(-1)).T
    assert extractor.dimension == 512 and closeness.argmax(1).tolist() == list(range(5))


def test_what_does_not_fit_is_said(scripted, tmp_path):
    for spec, options, words in [
        ("no-such", {}, "one of efficientnet-lite0"),
        (3, {}, "spec = 3"),
        ("torchvision:resnet18", {}, "nothing is downloaded"),
        (f"torchvision:no-such:{scripted}", {}, "architecture = 'no-such'"),
        (str(scripted), {"weights": scripted}, "none are needed"),
        (str(scripted), {"resolution": 2}, "resolution = 2"),
        (str(scripted), {"mean": (0.5,)}, "three numbers"),
        (str(scripted), {"std": (0, 1, 1)}, "positive numbers"),
        ("efficientnet-lite0", {"mean": (0.5, 0.5, 0.5)}, "options of extractor"),
    ]:
        with pytest.raises(ValueError, match=words):
            open_extractor(spec, **options)
    with pytest.raises(FileNotFoundError, match="is not there"):
        open_extractor(str(tmp_path / "none.pt"))
    extractor = open_extractor(str(scripted), resolution=SIZE)
    with pytest.raises(ValueError, match="values in"):
        extractor(3 * images())
    with pytest.raises(ValueError, match="a floating-point tensor"):
        extractor(np.zeros((2, 3, 8, 8)))


def test_a_network_that_gives_no_features_is_refused(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(nn.Conv2d(3, 4, 3), torch.zeros(1, 3, SIZE, SIZE)), str(tmp_path / "map.pt"))
    with pytest.raises(ValueError, match=r"gives \(1, 4, 30, 30\) for one image: features of shape \(1, D\)"):
        open_extractor(str(tmp_path / "map.pt"), resolution=SIZE)
