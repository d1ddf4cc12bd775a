"""Named features of images: what a distance between two sets of images is measured in.

A Fréchet distance means nothing without the features behind it, so every extractor has a name, and the name goes into
every label. An extractor is called with images (m, C, H, W) in [-1, 1], C = 1 or 3, and gives (m, D) float32 on their
device, without gradients. Equal images give equal features, whatever stands beside them, up to float32 rounding.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from ..numerics.checks import check_points
from .extractors import DEFAULT, EfficientNetLite0, Extractor, Pixels, TorchFidelity

# Data sets whose images an extractor was shown to see, by its name; see `sees`.
SEEN: dict[str, tuple[str, ...]] = {"digits": ("mnist5k",)}


@dataclass(frozen=True)
class Features:
    """Features of a set, with the names of what made them and of the set.

    Attributes:
        values: (m, D), floating point, D >= 1.
        extractor: name of what made them.
        source: name of the set.

    Raises:
        ValueError: for values of another shape or kind, or that are not finite.
    """

    values: Tensor = field(repr=False)
    extractor: str
    source: str

    def __post_init__(self):
        values = self.values
        check_points(values, tuple(values.shape[1:]) if getattr(values, "ndim", 0) == 2 else ("D",), "values")
        if values.shape[1] == 0:
            raise ValueError(f"values has shape {tuple(values.shape)}: at least one feature is needed")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def dimension(self) -> int:
        """D."""
        return self.values.shape[1]


def features_of(images: Tensor, extractor: Extractor | str = DEFAULT, source: str = "images") -> Features:
    """Features of images with their names attached.

    Args:
        images: (m, C, H, W) in [-1, 1], C = 1 or 3.
        extractor: one of `EXTRACTORS` by name, or a function of images with a name.
        source: name of the set.

    Returns:
        `Features` (m, D).

    Raises:
        ValueError: for an unknown extractor, or other images.
    """
    extractor = _extractor(extractor)
    return Features(extractor(images), extractor.name, source)


def _extractor(given: Extractor | str) -> Extractor:
    if isinstance(given, str):
        return named_extractor(given)
    if not callable(given) or not isinstance(getattr(given, "name", None), str):
        raise ValueError(f"extractor is {type(given).__name__}: a name, or a function of images with a name, is needed")
    return given


def named_extractor(name: str = DEFAULT, **options) -> Extractor:
    """The extractor of that name, one of `EXTRACTORS`; options are its own (`resolution=`, `weights=`, ...)."""
    if not isinstance(name, str) or name not in EXTRACTORS:
        raise ValueError(f"extractor = {name!r}: one of {', '.join(EXTRACTORS)} is needed")
    try:
        return EXTRACTORS[name](**options)
    except TypeError as error:
        raise ValueError(f"options of extractor {name!r}, {', '.join(options)}: {error}") from error


def sees(data_name: str, extractor: str = DEFAULT) -> bool:
    """Whether measures of quality in these features may be read for images of a data set.

    They may if a change that nobody sees leaves them where they are: noise of standard deviation 0.02 on pixels in [-1,
    1], 2.5 of 256 grey levels, must not move them by more than their intervals are wide. The precondition of every
    finding about quality.

    Args:
        data_name: name of a data set, of `data.load`.
        extractor: one of `EXTRACTORS` by name.

    Returns:
        True for the pairs that were shown to pass, those in `SEEN`; any other one is False, also where nobody has
            tried.

    Raises:
        ValueError: for an unknown extractor.
    """
    if extractor not in EXTRACTORS:
        raise ValueError(f"extractor = {extractor!r}: one of {', '.join(EXTRACTORS)} is needed")
    return data_name in SEEN.get(extractor, ())


def extractor_for(data_name: str) -> str:
    """Name of the extractor in which images of a data set are measured: one that was shown to see them, else the default one."""
    return next((name for name, seen in SEEN.items() if data_name in seen), DEFAULT)


def _digit_features() -> Extractor:
    from .digit_features import DigitFeatures

    return DigitFeatures()


EXTRACTORS: dict[str, Callable[..., Extractor]] = {
    DEFAULT: EfficientNetLite0,
    "pixels": Pixels,
    "digits": _digit_features,
    "inception-v3-compat": lambda **options: TorchFidelity("inception-v3-compat", **options),
    "vgg16": lambda **options: TorchFidelity("vgg16", **options),
}
