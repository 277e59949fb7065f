from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from drift.evaluation.viewer.selection import ProblemSize, choose_problems

SIZES = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(1, 8), st.integers(1, 900)), min_size=1, max_size=60
).map(lambda rows: [ProblemSize(row[0], f"{row[0]}{index}", *row[1:]) for index, row in enumerate(rows)])


@given(SIZES)
def test_everything_is_shown_when_it_fits(sizes):
    total = sum(size.conversations for size in sizes)
    tokens = sum(size.tokens for size in sizes)
    assert choose_problems(sizes, total, tokens) == {size.problem_id for size in sizes}


@given(SIZES, st.integers(1, 100), st.integers(1, 20_000))
def test_a_page_is_never_larger_than_its_limits_but_always_has_a_problem(sizes, conversations, tokens):
    chosen = [size for size in sizes if size.problem_id in choose_problems(sizes, conversations, tokens)]
    assert chosen
    assert len(chosen) == 1 or sum(size.conversations for size in chosen) <= conversations
    assert len(chosen) == 1 or sum(size.tokens for size in chosen) <= tokens


@given(st.lists(st.integers(1, 200), min_size=1, max_size=8), st.integers(8, 300))
def test_every_benchmark_has_its_fair_share(num_problems, limit):
    sizes = [ProblemSize(f"b{b}", f"{b}-{index}", 2, 1) for b, num in enumerate(num_problems) for index in range(num)]
    chosen = choose_problems(sizes, 2 * limit)
    shown = Counter(size.benchmark for size in sizes if size.problem_id in chosen)
    assert sum(shown.values()) == min(limit, len(sizes))
    for b, num in enumerate(num_problems):
        assert shown[f"b{b}"] == num or shown[f"b{b}"] >= max(shown.values()) - 1


def test_a_sample_is_the_same_in_every_order():
    sizes = [ProblemSize("a", f"problem-{index}", 1, 1) for index in range(100)]
    chosen = choose_problems(sizes, 10)
    assert choose_problems(sizes[::-1], 10) == chosen
    assert chosen != {f"problem-{index}" for index in range(10)}, "not just the first"
