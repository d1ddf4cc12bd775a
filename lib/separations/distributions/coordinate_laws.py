"""One coordinate of a diffused component: z = b xi + sigma eps, with xi Student-t or uniform on [-1, 1] and eps normal.

A law answers ``law(z, b, sigma)`` with the log density of z and its first and second derivatives in z, each of the shape
of z (m, K, d), in the dtype of z. b (m or 1, 1, d or 1) and sigma (m or 1, 1, 1) are float64. Values carry no gradient:
``attach`` ties them to z for autograd. ``half_line(b, sigma)`` gives nodes and weights (Q, d or 1) for integrals of smooth
functions times the density over z > 0.
"""

import math

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import gammainccinv, gammaincinv, loggamma
from torch import Tensor
from torch.autograd.function import once_differentiable

Triple = tuple[Tensor, Tensor, Tensor]
EPS = 1e-14  # mass left outside the range of the nodes
RATIO = 1e80  # beyond it b xi is invisible beside sigma eps
LOG_2PI = math.log(2 * math.pi)


class _Value(torch.autograd.Function):
    """value, with the derivative `slope` in z, whose derivative is `curvature`."""

    @staticmethod
    def forward(ctx, z, value, slope, curvature):
        ctx.save_for_backward(z, slope, curvature)
        return value.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * _Slope.apply(*ctx.saved_tensors), None, None, None


class _Slope(torch.autograd.Function):
    """slope, with the derivative `curvature` in z. A third derivative is not known: asking for it is an error of torch."""

    @staticmethod
    def forward(ctx, z, slope, curvature):
        ctx.save_for_backward(curvature)
        return slope.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0], None, None


def attach(z: Tensor, value: Tensor, slope: Tensor, curvature: Tensor) -> Triple:
    """The triple with its gradients in z: log density and slope can be differentiated, the curvature is a constant."""
    return _Value.apply(z, value, slope, curvature), _Slope.apply(z, slope, curvature), curvature


class StudentLaw:
    """xi Student-t with df degrees of freedom: a mixture over w ~ Gamma(df/2, rate df/2) of N(0, b^2 / w + sigma^2).

    The integral over u = log w is a trapezoid sum, which converges exponentially. Without noise the integrand in u is a
    log-gamma density of shape (df + 1)/2; its Fourier transform, a ratio of gamma functions, gives the step. Noise only
    flattens the integrand, and a large |z| only shifts its peak to the left.
    """

    def __init__(self, df: float):
        self.df, a = df, (df + 1) / 2
        # Two powers of w more, as in the second derivative.
        decay = lambda s: (loggamma(a + 2 + 1j * s) - loggamma(a + 2)).real - math.log(EPS)  # noqa: E731
        self.step = 2 * math.pi / brentq(decay, 0, 40 + 20 * math.sqrt(a))
        self.low, self.high = math.log(2 * gammaincinv(a, EPS)), math.log(2 * gammainccinv(a + 2, EPS) / df)

    def count(self, z: Tensor, b: Tensor, sigma: Tensor) -> int:
        """Number of nodes needed for the values |z| <= max |z|."""
        ratio = float(((z.double().square() + sigma.square()) / b.square()).nan_to_num(RATIO).clamp(max=RATIO).max())
        return math.ceil((self.high - self.low + math.log(self.df + ratio)) / self.step) + 1

    def _nodes(self, count: int, b: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """log of (weight times normal constant) and variance of each normal, (m or 1, 1, d or 1, Q), float64."""
        u = self.high - self.step * torch.arange(count, dtype=torch.float64, device=b.device)
        a = self.df / 2
        variance = b.square()[..., None] * torch.exp(-u) + sigma.square()[..., None]
        log_prior = a * (u - torch.expm1(u)) + _log_gamma_constant(a)
        return log_prior + math.log(self.step) - (LOG_2PI + variance.log()) / 2, variance

    @torch.no_grad()
    def __call__(self, z: Tensor, b: Tensor, sigma: Tensor) -> Triple:
        log_weight, variance = self._nodes(self.count(z, b, sigma), b, sigma)
        least = variance.amin(-1)
        j, unit = (least[..., None] / variance).to(z.dtype), least.sqrt().to(z.dtype)
        y = z / unit
        p = torch.addcmul(log_weight.to(z.dtype), y.square()[..., None], j, value=-0.5)  # (m, K, d, Q)
        top = p.amax(-1, keepdim=True)
        p = p.sub_(top).exp_()
        # Moments of 1 / variance under the posterior of w.
        powers = torch.stack([torch.ones_like(j), j, j.square()], -1)[:, 0]
        mass, first, second = torch.einsum("mkdq,mdqc->mkdc", p, powers.to(z.dtype)).unbind(-1)
        first, second = first / mass, second / mass
        curvature = (y.square() * (second - first.square()) - first) / unit / unit
        return top[..., 0] + mass.log(), -y * first / unit, curvature

    def half_line(self, b: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """z = hypot(b, sigma) sinh(y), equal steps in y: 27 deviations, and e^(37/(df + 2)) times more for the tail z^-(df + 2)."""
        y = torch.linspace(0, 4 + 37 / (self.df + 2), 1501, dtype=torch.float64, device=b.device)[:, None]
        size = torch.hypot(b, sigma)
        weight = size * y.cosh() * y[1]
        weight[0] /= 2
        return size * y.sinh(), weight


def _log_gamma_constant(a: float) -> float:
    """a log a - a - log Gamma(a), by Stirling's series where the difference would cancel."""
    if a < 50:
        return a * math.log(a) - a - math.lgamma(a)
    return (math.log(a) - LOG_2PI) / 2 - 1 / (12 * a) + 1 / (360 * a**3) - 1 / (1260 * a**5)


def _gauss_legendre(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(n)


class UniformLaw:
    """xi uniform on [-1, 1]: density (Phi((z + b)/sigma) - Phi((z - b)/sigma)) / (2 b), without its cancellations.

    In units of sigma, y = |z| / sigma and beta = b / sigma, three cases: narrow (the interval is short beside the noise:
    Gauss-Legendre over xi), inside the support, and outside (Mills' ratio relative to the near edge).
    """

    @torch.no_grad()
    def __call__(self, z: Tensor, b: Tensor, sigma: Tensor) -> Triple:
        b, sigma = b.to(z.dtype).expand(z.shape), sigma.to(z.dtype).expand(z.shape)
        beta, y, out = b / sigma, z.abs() / sigma, (z.abs() - b) / sigma
        narrow = (beta < 1) & (beta * y <= 30)
        inside = ~narrow & (out <= 0)
        value, slope, curvature = z.new_empty(z.shape), z.new_empty(z.shape), z.new_empty(z.shape)
        for case, law in ((narrow, _narrow), (inside, _inside), (~narrow & ~inside, _outside)):
            if case.any():
                value[case], slope[case], curvature[case] = law(y[case], beta[case], out[case])
        return value - sigma.log(), z.sign() * slope / sigma, curvature / sigma / sigma

    def half_line(self, b: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Gauss-Legendre from 0, or 12 sigma before the edge where the density is flat up to there, to 12 sigma beyond."""
        nodes, weights = (torch.from_numpy(a)[:, None].to(b.device) for a in _gauss_legendre(300))
        start, end = (b - 12 * sigma).clamp(min=0), b + 12 * sigma
        return start + (end - start) * (nodes + 1) / 2, (end - start) * weights / 2


def _narrow(y: Tensor, beta: Tensor, _: Tensor) -> Triple:
    """Moments of xi under the weight exp(beta y xi - beta^2 xi^2 / 2) on [-1, 1], for beta < 1 and beta y <= 30."""
    mass, first, second = torch.zeros_like(y), torch.zeros_like(y), torch.zeros_like(y)
    for node, weight in zip(*_gauss_legendre(26)):
        # exp(-beta y) keeps the weight below 1; moments about the edge xi = 1, where it concentrates.
        p = weight / 2 * torch.exp(beta * y * (node - 1) - (beta * node) ** 2 / 2)
        mass, first, second = mass + p, first + p * (1 - node), second + p * (1 - node) ** 2
    first, second = first / mass, second / mass
    value = mass.log() + beta * y - y.square() / 2 - LOG_2PI / 2
    return value, beta * (1 - first) - y, beta.square() * (second - first.square()) - 1


def _inside(y: Tensor, beta: Tensor, out: Tensor) -> Triple:
    near, far = -out, y + beta  # distances to the two edges
    mass = 1 - (torch.erfc(near / math.sqrt(2)) + torch.erfc(far / math.sqrt(2))) / 2
    phi_near, phi_far = (torch.exp(-(a.square() + LOG_2PI) / 2) for a in (near, far))
    slope = phi_near * torch.expm1(-2 * beta * y) / mass
    return (mass / (2 * beta)).log(), slope, -(near * phi_near + far * phi_far) / mass - slope.square()


def _outside(y: Tensor, beta: Tensor, out: Tensor) -> Triple:
    far, ratio = y + beta, torch.exp(-2 * beta * y)  # ratio of the normal densities at the far and the near edge
    mills, mills_far = (math.sqrt(math.pi / 2) * torch.special.erfcx(a / math.sqrt(2)) for a in (out, far))
    mass = mills - ratio * mills_far  # over the normal density at the near edge
    hazard = -torch.expm1(-2 * beta * y) / mass
    excess = (mills * _hazard_excess(out, mills) - ratio * (1 - out * mills_far)) / mass  # hazard - out
    value = mass.log() - (out.square() + LOG_2PI) / 2 - (2 * beta).log()
    return value, -hazard, -hazard * excess - 2 * beta * ratio / mass


def _hazard_excess(a: Tensor, mills: Tensor) -> Tensor:
    """1 / mills - a, the hazard rate of the normal law beyond its asymptote: Laplace's continued fraction for a > 5."""
    tail = a.clamp(min=5)
    fraction = tail
    for k in range(24, 1, -1):
        fraction = tail + k / fraction
    return torch.where(a > 5, 1 / fraction, 1 / mills - a)
