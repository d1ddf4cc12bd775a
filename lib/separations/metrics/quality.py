"""Quality of generated images: seven measures in named features, each with counts, reference set and an interval.

    frechet     Fréchet distance of two Gaussians with the moments of the features   (Heusel et al. 2017)
    kernel      squared kernel mean discrepancy, cubic kernel, unbiased              (Bińkowski et al. 2018)
    precision   share of samples inside the k-nearest-neighbour balls of the reference, recall: the other way round
                                                                                     (Kynkäänniemi et al. 2019)
    density     number of reference balls around a sample over k, coverage: share of reference balls with a sample
                                                                                     (Naeem et al. 2020)
    reach       coverage that any number of samples would reach, estimated: stable in m    (after Chao 1984)

The Fréchet distance is computed by torch-fidelity where both covariances are regular; where points are few, by singular
values, for the root of a singular matrix product is known to half the digits only. Its precision and recall leave ties to
rounding (see `balls`), and its kernel distance is a mean over subsets of equal size; ours takes all pairs at once.
No covariance is inverted and no axis is divided by its spread, so few points blow nothing up. Two results compare only with equal features, reference set and counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ..numerics.checks import check_count
from ..numerics.scale import peak, scaled, size_exponent
from .axes import principal_axes
from .extractors import DEFAULT, Extractor
from .features import Features, features_of
from .half_sampling import RESAMPLES, Measure, check_pair, feature_values, half_samples, measured
from .neighbourhoods import density_coverage, precision_recall, reachable_coverage

LARGEST = 1e48  # feature whose sixth power, in sums of many, still fits float64


@dataclass(frozen=True)
class ImageQuality:
    """What `image_quality` measures; iterating gives the seven measures.

    Attributes:
        frechet: as from `frechet_distance`.
        kernel: as from `kernel_distance`.
        precision, recall: as from `precision_recall`.
        density, coverage: as from `density_coverage`.
        reach: as from `reachable_coverage`.
    """

    frechet: Measure
    kernel: Measure
    precision: Measure
    recall: Measure
    density: Measure
    coverage: Measure
    reach: Measure

    def __iter__(self) -> Iterator[Measure]:
        return (getattr(self, each.name) for each in fields(self))

    def __str__(self) -> str:
        return "\n".join(map(str, self))


def image_quality(
    samples: Tensor | Features,
    reference: Tensor | Features,
    *,
    extractor: Extractor | str = DEFAULT,
    samples_name: str = "samples",
    reference_name: str = "reference",
    components: int | None = 64,
    k: int = 3,
    k_density: int = 5,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    generator: torch.Generator | None = None,
) -> ImageQuality:
    """All measures of samples against a reference set, from features that are computed once.

    Args:
        samples, reference: images (m, C, H, W) in [-1, 1], or `Features` of them, which bring their own names: compute
            those of the reference once.
        extractor: of the features of images, one of `EXTRACTORS` by name, or a function of images with a name.
        samples_name, reference_name: names of the sets that are given as images.
        components: of the Fréchet distance.
        k: neighbours of precision and recall.
        k_density: neighbours of density, coverage and reachable coverage.
        confidence: of the intervals, in (0, 1).
        resamples: random halves behind an interval.
        generator: of the halves; None is a fixed stream.

    Returns:
        `ImageQuality`: the seven measures, each with its interval.

    Raises:
        ValueError: for features of different extractors and for too few points for k.
    """
    x = samples if isinstance(samples, Features) else features_of(samples, extractor, samples_name)
    y = reference if isinstance(reference, Features) else features_of(reference, extractor, reference_name)
    options = {"confidence": confidence, "resamples": resamples, "generator": generator}
    return ImageQuality(
        frechet_distance(x, y, components, **options),
        kernel_distance(x, y, **options),
        *precision_recall(x, y, k, **options),
        *density_coverage(x, y, k_density, **options),
        reachable_coverage(x, y, k_density, **options),
    )


def frechet_distance(
    samples: Features,
    reference: Features,
    components: int | None = 64,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    generator: torch.Generator | None = None,
) -> Measure:
    """|mu_x - mu_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^(1/2)), mu and S mean and covariance of the features (squared distance).

    Moments from m samples make it too large, by about D^2 / m in units of one feature's variance, and with m <= D the
    covariances are singular. So by default it is taken along the first principal axes of the reference (in the label;
    found once, on the whole reference; of other directions it sees nothing). The bias remains: compare at equal counts
    only; 2 value - at_half takes off its first order (Chong and Forsyth 2020).

    Args:
        samples: features (m, D), m >= 4.
        reference: features (n, D) of the same extractor, n >= 4.
        components: number of axes; where the reference varies in fewer directions, these are all that is used, as the
            label then says. None, or as many as there are features: all of them (with D > 1,000 half a minute for the
            interval).
        confidence: of the interval, in (0, 1).
        resamples: random halves behind the interval.
        generator: of the halves; None is a fixed stream.

    Returns:
        The squared distance, >= 0, in squared units of the features.

    Raises:
        ValueError: for features of different extractors, too few points, a reference whose points are all equal, and
            features so large that the distance overflows.
    """
    check_pair(samples, reference)
    x, y = feature_values(samples), feature_values(reference)
    how = ""
    if components is not None and check_count(components, "components") < x.shape[1]:
        mean, axes = _reference_axes(reference, y, components)
        x, y, how = (x - mean) @ axes, (y - mean) @ axes, f", PCA {axes.shape[1]}"
        how += "" if axes.shape[1] == components else ": all that vary"
    exponent = size_exponent(peak(x), peak(y))
    x, y = scaled(x, -exponent), scaled(y, -exponent)
    regular = min(len(x), len(y)) > x.shape[1] > 1
    value = _torch_fidelity_frechet(x, y) if regular else max(0.0, float(_frechet(x, y)))
    pairs = zip(*half_samples(len(x), len(y), resamples, generator))
    halves = torch.stack([_frechet(x.index_select(0, i), y.index_select(0, j)) for i, j in pairs])
    value, halves = scaled(value, 2 * exponent), scaled(halves, 2 * exponent)
    return measured("Fréchet distance", how, value, halves, samples, reference, confidence, (0, torch.inf))


def kernel_distance(
    samples: Features,
    reference: Features,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    generator: torch.Generator | None = None,
) -> Measure:
    """mean k(x, x') + mean k(y, y') - 2 mean k(x, y) over all pairs of different points, k(a, b) = (a.b / D + 1)^3.

    Unbiased at every count, so it is negative half of the time for equal laws; the measure of choice for few samples.

    Args:
        samples: features (m, D), m >= 4, at most 1e48 in size.
        reference: features (n, D) of the same extractor, n >= 4, at most 1e48 in size.
        confidence: of the interval, in (0, 1).
        resamples: random halves behind the interval.
        generator: of the halves; None is a fixed stream.

    Returns:
        The squared discrepancy, of either sign.

    Raises:
        ValueError: for features of different extractors, too few points, and larger features.
    """
    check_pair(samples, reference)
    x, y = feature_values(samples), feature_values(reference)
    if (largest := max(peak(x), peak(y))) > LARGEST:
        raise ValueError(
            f"features up to {largest:.1e}: at most {LARGEST:.0e} are possible, their sixth powers overflow float64"
        )
    kernels = _cubic(x, x).fill_diagonal_(0), _cubic(y, y).fill_diagonal_(0), _cubic(x, y)
    value = _discrepancy(*kernels, torch.ones(1, len(x)).double(), torch.ones(1, len(y)).double())
    i, j = half_samples(len(x), len(y), resamples, generator)
    chosen = (torch.zeros(len(h), len(z)).double().scatter_(1, h, 1) for h, z in ((i, x), (j, y)))
    halves = _discrepancy(*kernels, *chosen)
    unbounded = (-torch.inf, torch.inf)
    return measured("kernel distance", ", cubic", float(value), halves, samples, reference, confidence, unbounded)


def _reference_axes(reference: Features, y: Tensor, components: int) -> tuple[Tensor, Tensor]:
    if bool((y == y[0]).all()):
        raise ValueError(
            f"reference has {len(y)} points that are all equal ({reference.source}, in {reference.extractor}): a Fréchet distance "
            "along principal axes needs points that differ; components=None takes all features"
        )
    return principal_axes(y, components, fewer=True)


def _torch_fidelity_frechet(x: Tensor, y: Tensor) -> float:
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

    statistics = (fid_features_to_statistics(z) for z in (x, y))
    return max(0.0, fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID])  # rounding goes below 0


def _frechet(x: Tensor, y: Tensor) -> Tensor:
    """The same distance, faster: with S = R^T R, the trace of (S_x S_y)^(1/2) is the sum of the singular values of R_x R_y^T."""
    a, b = _root(x), _root(y)
    traces = a.square().sum() + b.square().sum() - 2 * torch.linalg.svdvals(a @ b.T).sum()
    return (x.mean(0) - y.mean(0)).square().sum() + traces


def _root(x: Tensor) -> Tensor:
    """R (min(m, D), D) with R^T R the covariance of x (m, D)."""
    centred = (x - x.mean(0)) / (len(x) - 1) ** 0.5
    return torch.linalg.qr(centred, mode="r").R if len(x) > x.shape[1] else centred


def _cubic(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _discrepancy(xx: Tensor, yy: Tensor, xy: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """Kernel distance of subsets, (s,): i (s, m) and j (s, n) are 1 for the chosen points, 0 for the others."""
    m, n = i.sum(1), j.sum(1)
    within = ((i @ xx) * i).sum(1) / (m * (m - 1)) + ((j @ yy) * j).sum(1) / (n * (n - 1))
    return within - 2 * ((i @ xy) * j).sum(1) / (m * n)
