import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from drift.training.examples import Example
from drift.training.packing import cost, packed, packs, packs_by_process


def some(lengths: list[int]) -> list[Example]:
    return [
        Example(str(index), 0, np.arange(length) + index, np.array([1, length - 1]), float(index))
        for index, length in enumerate(lengths)
    ]


def names(groups: list[list[Example]]) -> list[str]:
    return sorted(example.problem_id for group in groups for example in group)


LENGTHS = st.lists(st.integers(2, 40), min_size=1, max_size=30)


@given(LENGTHS, st.integers(1, 120))
def test_packs_hold_every_example_once_within_the_budget(lengths, max_tokens):
    groups = packs(some(lengths), max_tokens)
    assert names(groups) == sorted(str(index) for index in range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or sum(len(example.token_ids) for example in group) <= max_tokens


@given(LENGTHS, st.integers(1, 120), st.integers(1, 5))
def test_processes_get_the_same_number_of_packs_and_every_example_once(lengths, max_tokens, num_processes):
    shares = packs_by_process(some(lengths), max_tokens, num_processes)
    assert len(shares) == num_processes
    assert len({len(share) for share in shares}) == 1
    assert names([pack for share in shares for pack in share]) == sorted(str(index) for index in range(len(lengths)))


@given(LENGTHS, st.integers(2, 5))
def test_no_process_has_more_than_the_dearest_example_above_another(lengths, num_processes):
    examples = some(lengths)
    loads = [
        sum(cost(example) for pack in share for example in pack)
        for share in packs_by_process(examples, 64, num_processes)
    ]
    assert max(loads) - min(loads) <= max(cost(example) for example in examples) + 1e-9


@given(st.lists(st.integers(2, 12), min_size=1, max_size=6))
def test_a_pack_is_its_sequences_one_after_another(lengths):
    examples = some(lengths)
    pack = packed(examples, torch.device("cpu"))
    for example, ids, position in zip(
        examples, pack.token_ids_L.split(pack.lengths_E), pack.position_L.split(pack.lengths_E), strict=True
    ):
        assert ids.tolist() == example.token_ids.tolist()
        assert position.tolist() == list(range(len(example.token_ids)))
    wanted = [int(example.token_ids[target]) for example in examples for target in example.targets]
    assert pack.token_ids_L[pack.target_T].tolist() == wanted
    assert pack.example_T.tolist() == [index for index in range(len(examples)) for _ in range(2)]


def test_an_empty_pack_teaches_nothing(tiny_policy):
    pack = packed([], torch.device("cpu"))
    nll_T = tiny_policy(pack)
    assert nll_T.shape == (0,)
    nll_T.sum().backward()
    assert all(weight.grad is None or not weight.grad.any() for weight in tiny_policy.parameters())
    tiny_policy.zero_grad()
