"""Numbers as JSON can hold them."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def plain(number_X: ArrayLike) -> Any:  # noqa: ANN401
    """Numbers as plain Python: a float or nested lists of them, None for NaN."""
    float_X = np.asarray(number_X, dtype=np.float64)
    object_X = float_X.astype(object)  # of Python's own floats, also where it is a single number
    object_X[np.isnan(float_X)] = None
    return object_X.tolist()
