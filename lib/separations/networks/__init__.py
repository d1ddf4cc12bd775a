"""Networks that learn scores, and `Denoiser`, which makes a score of each."""

from .denoiser import Denoiser
from .dit import DiT
from .dit_blocks import SIZES, DiTConfig, dit_config
from .dit_stack import DiTStack
from .mlp import MLP
from .unet1d import UNet1D

__all__ = ["MLP", "SIZES", "Denoiser", "DiT", "DiTConfig", "DiTStack", "UNet1D", "dit_config"]
