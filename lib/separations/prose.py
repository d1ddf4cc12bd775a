"""Numbers for the text of a chapter."""

import numpy as np
from myst_nb import glue as keep


def glue(name: str, value, display: bool = False) -> None:
    """Keep a value under a name, for {glue:text} in the prose. Numbers of NumPy become plain ones, which the text can format.

    name: unique in the chapter; value: a number, or text; display: whether the cell shows it as well.
    """
    keep(name, value.item() if isinstance(value, np.generic) else value, display=display)
