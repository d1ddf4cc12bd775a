"""Generation, from noise to data: starts and grids, samplers, hybrids of several scores."""

from .generation import generate
from .grids import log_snr_times, prior, uniform_times
from .hybrids import Switch, switch
from .integrators import ddim, ddim_step, denoised, dpm_solver_2m, heun, probability_flow, reverse_sde

__all__ = [
    "Switch",
    "ddim",
    "ddim_step",
    "denoised",
    "dpm_solver_2m",
    "generate",
    "heun",
    "log_snr_times",
    "prior",
    "probability_flow",
    "reverse_sde",
    "switch",
    "uniform_times",
]
