import copy

import numpy as np
import pytest
import torch

from drift.parameters import LoraParameters, TrainingParameters
from drift.training.examples import Example
from drift.training.flops import ModelSize
from drift.training.loop import DivergedError, Trainer
from drift.training.master_weights import MasterWeights
from drift.training.optimizer import NamedAdamW
from drift.training.processes import Processes

CPU = torch.device("cpu")


def some_examples(count: int = 6, weight: float = 1.0) -> list[Example]:
    generator = np.random.default_rng(0)
    return [
        Example(f"p{i}", 0, generator.integers(2, 60, size=12), np.arange(8, 12), weight * (1 + i % 3))
        for i in range(count)
    ]


def trainer_of(tiny_policy, prune_below: float = 0.0, **changes) -> Trainer:
    training = TrainingParameters(
        **{"steps": 8, "batch_size": 4, "learning_rate": 1e-2, "precision": "float32"} | changes
    )
    policy = copy.deepcopy(tiny_policy).float()
    weights = MasterWeights(policy.model, torch.float32)
    optimizer = NamedAdamW(weights.by_name, training)
    size = ModelSize.of(policy)
    return Trainer(policy, weights, optimizer, training, prune_below, 0, Processes.alone(CPU), size)


def weights_of(trainer: Trainer) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in trainer.optimizer.weights.values()])


def trained(trainer: Trainer, examples: list[Example]) -> torch.Tensor:
    list(trainer.steps(examples, 0))
    return weights_of(trainer)


def test_training_lowers_the_weighted_loss(tiny_policy):
    log = list(trainer_of(tiny_policy, steps=30).steps(some_examples(4), 0))
    assert [row.step for row in log] == list(range(1, 31))
    assert log[-1].weighted_loss < 0.7 * log[0].weighted_loss
    assert log[-1].weighted_mean_loss < 0.7 * log[0].weighted_mean_loss


def test_the_result_does_not_depend_on_the_packs(tiny_policy):
    whole, cut = trainer_of(tiny_policy, micro_batch_tokens=4096), trainer_of(tiny_policy, micro_batch_tokens=1)
    logs = [list(trainer.steps(some_examples(), 0)) for trainer in (whole, cut)]
    torch.testing.assert_close(weights_of(whole), weights_of(cut), rtol=1e-3, atol=2e-5)
    for name in ("loss", "weighted_loss", "weighted_mean_loss", "gradient_norm"):
        first, second = ([getattr(row, name) for row in log] for log in logs)
        assert first == pytest.approx(second, rel=1e-3)


def naive_nll(model, examples):
    sequences = [torch.from_numpy(example.token_ids) for example in examples]
    return [torch.nn.functional.cross_entropy(model(ids[None]).logits[0, 7:11], ids[8:12]) for ids in sequences]


def test_the_logged_losses_and_gradient_are_those_of_the_whole_batch(tiny_policy):
    examples = some_examples(4)
    model = copy.deepcopy(tiny_policy).float().model
    nll, weights = naive_nll(model, examples), [example.weight for example in examples]
    loss = sum(weight * value for weight, value in zip(weights, nll, strict=True)) / len(examples)
    loss.backward()
    norm = torch.linalg.norm(torch.cat([weight.grad.flatten() for weight in model.parameters()]))
    (row,) = trainer_of(tiny_policy, steps=1).steps(examples, 0)
    assert row.weighted_loss == pytest.approx(loss.item(), rel=1e-5)
    assert row.weighted_mean_loss == pytest.approx(loss.item() * len(examples) / sum(weights), rel=1e-5)
    assert row.loss == pytest.approx(sum(nll).item() / len(nll), rel=1e-5)
    assert row.gradient_norm == pytest.approx(norm.item(), rel=1e-4)
    assert (row.num_computed, row.num_tokens, row.num_targets) == (4, 48, 16)


def test_a_step_is_clipped_to_the_norm_of_the_whole_batch(tiny_policy):
    trainer = trainer_of(tiny_policy, steps=1, clip_norm=1e-3, micro_batch_tokens=1)
    batch = some_examples(4)
    trainer._accumulate(1, batch, 4)
    norm = trainer._clip()
    clipped = torch.cat([weight.grad.flatten() for weight in trainer.optimizer.weights.values()])
    assert norm > 1e-2
    assert torch.linalg.norm(clipped).item() == pytest.approx(1e-3, rel=1e-3)


def test_pruned_examples_change_nothing_when_their_weight_is_zero(tiny_policy):
    examples = [*some_examples(3), *some_examples(3, weight=0.0)]
    computed = trained(trainer_of(tiny_policy), examples)
    pruned = trained(trainer_of(tiny_policy, prune_below=1e-6), examples)
    torch.testing.assert_close(computed, pruned, rtol=1e-3, atol=2e-5)


def test_pruning_changes_the_gradient_by_no_more_than_the_logged_bound(tiny_policy):
    examples = [*some_examples(4), *some_examples(4, weight=0.05)]

    def gradient(batch, prune_below):
        trainer = trainer_of(tiny_policy, prune_below, steps=1, batch_size=8, clip_norm=float("inf"))
        computed = [example for example in batch if example.weight >= prune_below]
        trainer._accumulate(1, computed, 8)
        trainer._clip()
        return torch.cat([weight.grad.flatten() for weight in trainer.optimizer.weights.values()])

    change = torch.linalg.norm(gradient(examples, 0.0) - gradient(examples, 0.5))
    ones = [Example(e.problem_id, 0, e.token_ids, e.targets, 8.0) for e in examples]
    largest = max(torch.linalg.norm(gradient([one], 0.0)) for one in ones)
    (row,) = trainer_of(tiny_policy, 0.5, steps=1, batch_size=8).steps(examples, 0)
    assert row.pruned_mass == pytest.approx(sum(e.weight for e in examples[4:]) / 8)
    assert 0 < change <= row.pruned_mass * largest * (1 + 1e-5)


def test_a_batch_whose_examples_are_all_pruned_is_a_step_like_any_other(tiny_policy):
    trainer = trainer_of(tiny_policy, 0.1)
    log = list(trainer.steps(some_examples(weight=1e-9), 0))
    assert all(row.num_computed == 0 and row.weighted_loss == 0 and row.weighted_mean_loss is None for row in log)
    assert all(state["step"] == 8 for state in trainer.optimizer._adamw.state.values())


def test_diverged_training_names_step_and_problems_and_keeps_the_weights(tiny_policy):
    trainer = trainer_of(tiny_policy)
    before = weights_of(trainer).clone()
    with pytest.raises(DivergedError, match="step 1 ") as error:
        list(trainer.steps(some_examples(weight=float("inf")), 0))
    assert set(error.value.problem_ids) <= {f"p{i}" for i in range(6)}
    assert torch.equal(weights_of(trainer), before)


def test_the_noise_of_dropout_is_keyed_by_seed_step_and_pack(tiny_policy):
    def draw(step: int, pack: int) -> float:
        trainer_of(tiny_policy, lora=LoraParameters(dropout=0.1))._key_dropout(step, pack)
        return torch.rand(1).item()

    assert draw(1, 0) == draw(1, 0)
    assert len({draw(step, pack) for step in (1, 2) for pack in (0, 1)}) == 4


def test_the_held_out_loss_has_no_noise(tiny_policy):
    trainer = trainer_of(tiny_policy)
    trainer.policy.model.model.layers[0].mlp.act_fn = torch.nn.Sequential(torch.nn.SiLU(), torch.nn.Dropout(0.5))
    assert trainer.held_out_loss(some_examples()) == trainer.held_out_loss(some_examples())
    assert trainer.policy.model.model.layers[0].mlp.act_fn[1].training


def test_masters_keep_what_the_computing_format_would_lose(tiny_policy):
    model = copy.deepcopy(tiny_policy).float().model
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    masters = MasterWeights(model, torch.bfloat16)
    assert all(weight.dtype == torch.bfloat16 for weight in model.parameters())
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    masters.collect_gradients()
    optimizer = torch.optim.SGD(masters.by_name.values(), lr=1e-6)
    for _ in range(10):
        optimizer.step()
        masters.publish()
    for name, weight in masters.full(torch.float32).items():
        torch.testing.assert_close(weight, before[name] - 1e-5, rtol=0, atol=1e-6)


def test_gradients_of_packs_add_up_in_float32(tiny_policy):
    model = copy.deepcopy(tiny_policy).float().model
    masters = MasterWeights(model, torch.bfloat16)
    name, weight = next(model.named_parameters())
    for size in (1.0, 1e-4, 1e-4):
        weight.grad = torch.full_like(weight, size)
        masters.collect_gradients()
    expected = torch.full_like(masters.by_name[name], 1.0002)
    torch.testing.assert_close(masters.by_name[name].grad, expected, atol=1e-6, rtol=0)


def test_adamw_filled_by_name_goes_on_as_if_never_stopped(tiny_policy):
    whole = trainer_of(tiny_policy)
    list(whole.steps(some_examples(), 0))
    first, second = trainer_of(tiny_policy), trainer_of(tiny_policy)
    steps = first.steps(some_examples(), 0)
    for _ in range(3):
        next(steps)
    for name, tensor in second.optimizer.tensors().items():
        tensor.copy_(first.optimizer.tensors()[name])
    second.optimizer.continue_after(3)
    assert [row.step for row in second.steps(some_examples(), 3)] == [4, 5, 6, 7, 8]
    assert torch.equal(weights_of(whole), weights_of(second))
