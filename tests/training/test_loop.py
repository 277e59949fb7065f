import copy

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from drift.errors import UserError
from drift.parameters import TrainingParameters
from drift.training.examples import Example
from drift.training.loop import train, warmup_then_constant
from drift.training.master_weights import MasterWeights


def some_examples(count: int = 6, weight: float = 1.0) -> list[Example]:
    generator = np.random.default_rng(0)
    return [
        Example(f"p{i}", 0, generator.integers(2, 60, size=12), np.arange(8, 12), weight * (1 + i % 3))
        for i in range(count)
    ]


def settings(**changes) -> TrainingParameters:
    return TrainingParameters(**{"steps": 8, "batch_size": 4, "learning_rate": 1e-2, "precision": "float32"} | changes)


def float32(tiny_policy):
    return copy.deepcopy(tiny_policy).float()


def weights_after(model, examples, training, prune_below=0.0) -> torch.Tensor:
    train(model, examples, training, prune_below, "float32", seed=0)
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def test_training_lowers_the_weighted_loss(tiny_policy):
    log = train(float32(tiny_policy), some_examples(4), settings(steps=30), 0.0, "float32", seed=0)
    assert [row["step"] for row in log] == list(range(1, 31))
    assert log[-1]["weighted_loss"] < 0.7 * log[0]["weighted_loss"]


def test_the_result_does_not_depend_on_the_micro_batches(tiny_policy):
    whole, cut = float32(tiny_policy), float32(tiny_policy)
    log_whole = train(whole, some_examples(), settings(micro_batch_tokens=4096), 0.0, "float32", seed=0)
    log_cut = train(cut, some_examples(), settings(micro_batch_tokens=1), 0.0, "float32", seed=0)
    for a, b in zip(whole.parameters(), cut.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=2e-5)
    for name in ("loss", "weighted_loss", "gradient_norm"):
        assert [row[name] for row in log_whole] == pytest.approx([row[name] for row in log_cut], rel=1e-3)


def test_the_logged_loss_and_gradient_are_those_of_the_whole_batch(tiny_policy):
    examples = some_examples(4)
    reference = float32(tiny_policy)
    nll = [
        torch.nn.functional.cross_entropy(reference(ids[None]).logits[0, 7:11], ids[8:12])
        for ids in (torch.from_numpy(example.token_ids) for example in examples)
    ]
    loss = sum(example.weight * value for example, value in zip(examples, nll, strict=True)) / len(examples)
    loss.backward()
    norm = torch.linalg.norm(torch.cat([weight.grad.flatten() for weight in reference.parameters()]))
    (row,) = train(float32(tiny_policy), examples, settings(steps=1), 0.0, "float32", seed=0)
    assert row["weighted_loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert row["gradient_norm"] == pytest.approx(norm.item(), rel=1e-4)


def test_a_step_is_clipped_to_the_norm_of_the_whole_batch(tiny_policy):
    clipped = settings(steps=1, clip_norm=1e-3, warmup_share=0.0, weight_decay=0.0)
    model = float32(tiny_policy)
    seen = []
    hook = register_optimizer_step_pre_hook(
        lambda optimizer, *_: seen.append([p.grad.clone() for group in optimizer.param_groups for p in group["params"]])
    )
    train(model, some_examples(4), clipped, 0.0, "float32", seed=0)
    hook.remove()
    norm = torch.linalg.norm(torch.cat([gradient.flatten() for gradient in seen[0]]))
    assert norm.item() == pytest.approx(1e-3, rel=1e-3)


def test_pruned_examples_change_nothing_when_their_weight_is_zero(tiny_policy):
    examples = [*some_examples(3), *some_examples(3, weight=0.0)]
    computed = weights_after(float32(tiny_policy), examples, settings())
    pruned = weights_after(float32(tiny_policy), examples, settings(), prune_below=1e-6)
    torch.testing.assert_close(computed, pruned, rtol=1e-3, atol=2e-5)


def test_a_batch_whose_examples_are_all_pruned_is_no_accident(tiny_policy):
    log = train(float32(tiny_policy), some_examples(weight=1e-9), settings(), 0.1, "float32", seed=0)
    assert all(row["num_computed"] == 0 and row["weighted_loss"] == 0 for row in log)


def test_diverged_training_names_step_and_problems(tiny_policy):
    with pytest.raises(UserError, match=r"diverged at step 1 .*p\d.*learning_rate"):
        train(float32(tiny_policy), some_examples(weight=float("inf")), settings(), 0.0, "float32", seed=0)


def test_learning_rate_rises_then_stays():
    factors = [warmup_then_constant(step, steps=20, warmup_share=0.2) for step in range(1, 21)]
    assert factors == [0.25, 0.5, 0.75] + [1.0] * 17
    assert warmup_then_constant(1, steps=5, warmup_share=0.0) == 1.0


def test_masters_keep_what_the_computing_format_would_lose(tiny_policy):
    model = float32(tiny_policy)
    before = [weight.detach().clone() for weight in model.parameters()]
    masters = MasterWeights(model, torch.bfloat16)
    assert all(weight.dtype == torch.bfloat16 for weight in model.parameters())
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    masters.collect_gradients()
    optimizer = torch.optim.SGD(masters.parameters, lr=1e-6)
    for _ in range(10):
        optimizer.step()
        masters.publish()
    masters.finish(torch.float32)
    for weight, start in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(weight.detach(), start - 1e-5, rtol=0, atol=1e-6)


def test_gradients_of_micro_batches_add_up_in_float32(tiny_policy):
    masters = MasterWeights(float32(tiny_policy), torch.bfloat16)
    model_weight = masters._weights[0]
    for size in (1.0, 1e-4, 1e-4):
        model_weight.grad = torch.full_like(model_weight, size)
        masters.collect_gradients()
    torch.testing.assert_close(
        masters.parameters[0].grad, torch.full_like(masters.parameters[0], 1.0002), atol=1e-6, rtol=0
    )
