"""Which attention heads matter, and the networks that are left without some of them."""

from .heads import choose_heads, prune_heads
from .importance import head_importance, head_magnitude, mask_gradients

__all__ = ["choose_heads", "head_importance", "head_magnitude", "mask_gradients", "prune_heads"]
