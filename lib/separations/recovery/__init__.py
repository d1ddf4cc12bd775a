"""What a network still holds after a remedy: training images that come back when its noise is searched, or after a little more training."""

from .judged import Recovered, recovered
from .noise_search import NoiseSearch, search_noise
from .relearning import relearning_curve

__all__ = ["NoiseSearch", "Recovered", "recovered", "relearning_curve", "search_noise"]
