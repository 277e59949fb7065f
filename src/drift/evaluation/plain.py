"""Numbers as JSON can hold them."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def plain(number_X: ArrayLike) -> Any:  # noqa: ANN401
    """Numbers as plain Python: a float or nested lists of them, None for NaN."""
    object_X = np.array(number_X, dtype=object)
    object_X[np.isnan(np.asarray(number_X, dtype=np.float64))] = None
    return object_X.tolist()
