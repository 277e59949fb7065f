import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from drift.weighting.histogram import histogram

values = hnp.arrays(np.float64, st.integers(0, 40), elements=st.floats(-3, 3))


@given(st.lists(values, min_size=1, max_size=5), st.integers(1, 40))
def test_counts_of_shards_are_the_counts_of_all_values(shards, num_bins):
    streamed = histogram(lambda: iter(shards), num_bins)
    together = np.concatenate(shards)
    if not together.size:
        assert streamed.count_X.size == 0
        return
    count_X, edge_X = np.histogram(together, num_bins)
    np.testing.assert_array_equal(streamed.count_X, count_X)
    np.testing.assert_array_equal(streamed.edge_X, edge_X)
