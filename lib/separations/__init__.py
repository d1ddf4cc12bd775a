"""The thin library under the book *Memorization and Generalization in Diffusion Models*.

The one idea: the true and the empirical score are both scores of a diffused Gaussian mixture, so one family of
distributions (`distributions`) answers the same questions about both, and everything else is written against those names.
"""

from . import former_paths
from .ledger.ledger import Ledger, written_for
from .version import __version__

former_paths.install()

__all__ = ["Ledger", "__version__", "written_for"]
