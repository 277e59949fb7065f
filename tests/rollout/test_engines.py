"""Both engines on the real model, in float32, where greedy decoding has one answer: the plain forward pass's."""

import asyncio
import copy
import math
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from drift.errors import UserError
from drift.model_directory import ModelDirectory
from drift.parameters import EngineParameters, ProtocolParameters
from drift.problems.problem import Problem
from drift.protocol.chat import ChatFormat, chat_format_of
from drift.rollout.engine import Completion, Engine, Sampling

ROOM = 320
SLOTS = 16
NO_STOP: frozenset[int] = frozenset()
# A response's logits under the plain model and under an engine differ by rounding in float32.
ROUNDING = 0.02


@dataclass
class Running:
    """An engine and the one event loop it lives in."""

    engine: Engine
    loop: asyncio.AbstractEventLoop

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def one(self, token_ids: Sequence[int], sampling: Sampling, seed: int | None = None) -> Completion:
        return self.wait(self.engine.generate(token_ids, sampling, seed))

    def all(self, requests: Sequence[tuple[Sequence[int], Sampling, int | None]]) -> list[Completion]:
        async def together() -> list[Completion]:
            return await asyncio.gather(*(self.engine.generate(*request) for request in requests))

        return self.wait(together())


def starting(kind: str, path: Path, **changes: Any):
    parameters = EngineParameters(max_sequences=SLOTS, cpu_cache_gib=1)
    settings = {"dtype": "float32", "max_context_tokens": ROOM, "seed": 7, "trust_remote_code": False} | changes
    if kind == "vllm":
        pytest.importorskip("vllm")
        from drift.rollout.vllm_engine import start_vllm

        return start_vllm(path, parameters, **settings, seed_per_request=True)
    from drift.rollout.transformers_engine import start_transformers

    return start_transformers(path, settings.pop("parameters", parameters), **settings)


@pytest.fixture(scope="module", params=["transformers", "vllm"])
def running(request: pytest.FixtureRequest, reference_model: ModelDirectory) -> Iterator[Running]:
    loop = asyncio.new_event_loop()
    context = starting(request.param, reference_model.path)
    engine = loop.run_until_complete(context.__aenter__())
    yield Running(engine, loop)
    loop.run_until_complete(context.__aexit__(None, None, None))
    loop.close()


@pytest.fixture(scope="module")
def plain(reference_model: ModelDirectory):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(reference_model.path, dtype=torch.float32)


@pytest.fixture(scope="module")
def chat(reference_model: ModelDirectory) -> ChatFormat:
    return chat_format_of(reference_model.path, ProtocolParameters())


def prompt(chat: ChatFormat, question: str) -> list[int]:
    return chat.prompt_ids(Problem("p", question, "1", "math", "p"))


@pytest.fixture(scope="module")
def prompts(chat: ChatFormat) -> list[list[int]]:
    """Of different lengths, some with much in common."""
    questions = [f"What is {a} + {a + 5}?" for a in range(2, 8)]
    stories = [" ".join(["Ann has two apples."] * length) + " How many has she?" for length in (1, 3, 12)]
    return [prompt(chat, question) for question in [*questions, *stories, "Name a colour.", "Why?", questions[0]]]


def greedy(chat: ChatFormat, max_new_tokens: int = 16, stop_ids: frozenset[int] | None = None) -> Sampling:
    return Sampling(0.0, 1.0, max_new_tokens, chat.stop_ids if stop_ids is None else stop_ids)


def shortfall(plain, context: Sequence[int], response: Sequence[int]) -> float:
    """How far the chosen tokens are from the most likely ones, in logits."""
    ids = torch.tensor([*context, *response])
    with torch.no_grad():
        logits = plain(ids[None]).logits[0, len(context) - 1 : -1]
    chosen = logits.gather(1, ids[len(context) :, None])[:, 0]
    return float((logits.max(dim=1).values - chosen).max())


def test_greedy_responses_are_those_of_the_plain_model(running, plain, chat, prompts):
    for context in prompts:
        completion = running.one(context, greedy(chat))
        assert shortfall(plain, context, completion.token_ids) < ROUNDING


def test_a_running_engine_takes_new_weights_and_forgets_the_old_ones(
    running, reference_model, plain, chat, prompts, tmp_path
):
    """Tied embeddings included: the output layer is that of the new policy, and the cache holds nothing of the old."""
    others = copy.deepcopy(plain)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in others.parameters():
            weight.mul_(1 + 0.05 * torch.randn_like(weight))
    others.save_pretrained(tmp_path)
    before = running.one(prompts[0], greedy(chat)).token_ids
    if not running.wait(running.engine.take_weights(tmp_path, "others")):
        assert type(running.engine).__name__ == "TransformersEngine", "which is started anew in a second"
        return
    taken = [running.one(context, greedy(chat)).token_ids for context in prompts[:4]]
    assert max(map(shortfall, [others] * 4, prompts, taken)) < ROUNDING
    assert max(map(shortfall, [plain] * 4, prompts, taken)) > ROUNDING, "the policies differ"
    assert running.wait(running.engine.take_weights(reference_model.path, "reference"))
    assert running.one(prompts[0], greedy(chat)).token_ids == before


def test_a_later_turn_continues_the_exact_tokens_of_the_earlier_ones(running, plain, chat, prompts):
    context = list(prompts[3])
    for _ in range(4):
        completion = running.one(context, greedy(chat))
        assert shortfall(plain, context, completion.token_ids) < ROUNDING
        bridge = chat.feedback_ids_stopped if completion.stopped else chat.feedback_ids_cut
        context += [*completion.token_ids, *bridge]


def test_what_a_conversation_has_computed_is_not_computed_again(running, chat, prompts):
    context = prompts[4]
    completion = running.one(context, greedy(chat))
    later = [*context, *completion.token_ids, *chat.feedback_ids_stopped]
    assert running.one(later, greedy(chat)).num_cached_tokens >= len(context) // 2


def test_a_response_ends_with_the_first_stop_token_or_at_the_limit(running, chat, prompts):
    whole = running.one(prompts[0], greedy(chat))
    assert whole.stopped
    assert [token in chat.stop_ids for token in whole.token_ids] == [False] * (len(whole.token_ids) - 1) + [True]

    cut = running.one(prompts[0], greedy(chat, max_new_tokens=3))
    assert (cut.token_ids, cut.stopped) == (whole.token_ids[:3], False)

    at_the_limit = running.one(prompts[0], greedy(chat, max_new_tokens=len(whole.token_ids)))
    assert (at_the_limit.token_ids, at_the_limit.stopped) == (whole.token_ids, True)


def test_any_of_the_stop_ids_ends_a_response(running, chat, prompts):
    whole = running.one(prompts[0], greedy(chat)).token_ids
    other = whole[4]
    first = whole.index(other) + 1
    completion = running.one(prompts[0], greedy(chat, stop_ids=chat.stop_ids | {other}))
    assert (completion.token_ids, completion.stopped) == (whole[:first], True)


def test_without_stop_ids_a_response_runs_to_its_limit(running, plain, chat, prompts):
    completion = running.one(prompts[0], greedy(chat, 40, NO_STOP))
    assert len(completion.token_ids) == 40
    assert not completion.stopped
    assert shortfall(plain, prompts[0], completion.token_ids) < ROUNDING


def test_in_a_crowd_everyone_gets_what_they_get_alone(running, chat, prompts):
    requests = [(context, greedy(chat, limit), None) for context in prompts[2:9] for limit in (1, 24)]
    alone = [running.one(*request) for request in requests]
    crowd = running.all(requests)
    assert [one.token_ids for one in crowd] == [one.token_ids for one in alone]
    assert [one.stopped for one in crowd] == [one.stopped for one in alone]


def test_draws_of_one_prompt_differ(running, chat, prompts):
    sampling = Sampling(1.0, 1.0, 24, chat.stop_ids)
    draws = running.all([(prompts[0], sampling, None)] * 40)
    assert len({tuple(draw.token_ids) for draw in draws}) > 20


@pytest.mark.long
@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 0.8)])
def test_draws_follow_the_softmax(running, plain, chat, temperature, top_p):
    num_draws, num_kinds, least_expected = 600, 12, 8
    context = prompt(chat, "Say any word.")
    with torch.no_grad():
        probabilities = (plain(torch.tensor([context])).logits[0, -1].double() / temperature).softmax(0)
    ranked, order = probabilities.sort(descending=True)
    ranked = ranked.where(ranked.cumsum(0) - ranked < top_p, 0.0)
    ranked /= ranked.sum()
    kinds = [int(i) for i in order[:num_kinds] if ranked[order.tolist().index(i)] * num_draws > least_expected]
    expected = [*(num_draws * ranked[: len(kinds)]).tolist(), num_draws * float(ranked[len(kinds) :].sum())]
    assert len(kinds) > 2, "the prompt leaves a choice"

    sampling = Sampling(temperature, top_p, 1, chat.stop_ids)
    drawn = Counter(draw.token_ids[0] for draw in running.all([(context, sampling, None)] * num_draws))
    if top_p < 1:
        assert set(drawn) <= set(order[: int((ranked > 0).sum())].tolist())
    counts = [drawn[kind] for kind in kinds]
    counts.append(num_draws - sum(counts))
    chi_square = sum((n - e) ** 2 / e for n, e in zip(counts, expected, strict=True) if e > least_expected)
    # Mean k, variance 2k: eight deviations are one draw of this test in many thousands.
    assert chi_square < len(kinds) + 8 * math.sqrt(2 * len(kinds))


def test_cancelling_some_leaves_the_others_right(running, chat, prompts):
    alone = [running.one(context, greedy(chat)).token_ids for context in prompts]

    async def crowd() -> list[list[int] | None]:
        tasks = [
            asyncio.ensure_future(running.engine.generate(context, greedy(chat))) for context in prompts for _ in (0, 1)
        ]
        for number in range(1, len(tasks), 4):  # the first at once, then while others are decoded
            await asyncio.sleep(0.02 if number > 1 else 0)
            tasks[number].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return [result.token_ids if isinstance(result, Completion) else None for result in results]

    results = running.wait(crowd())
    assert results[0::2] == alone
    assert None in results[1::2]
    assert all(result in (None, expected) for result, expected in zip(results[1::2], alone, strict=True))
    assert running.one(prompts[0], greedy(chat)).token_ids == alone[0]


@pytest.mark.long
def test_the_cancelled_make_room_for_those_who_wait(running, chat, prompts):
    async def short_behind_long() -> tuple[Completion, bool]:
        long = [
            asyncio.ensure_future(running.engine.generate(prompts[number % len(prompts)], greedy(chat, 150, NO_STOP)))
            for number in range(SLOTS)
        ]
        await asyncio.sleep(0.2)
        short = asyncio.ensure_future(running.engine.generate(prompts[0], greedy(chat)))
        await asyncio.sleep(0.05)
        for task in long[1:]:
            task.cancel()
        completion = await short
        first_is_running = not long[0].done()
        await asyncio.gather(*long, return_exceptions=True)
        return completion, first_is_running

    completion, first_is_running = running.wait(short_behind_long())
    assert completion.stopped
    assert first_is_running


@pytest.mark.long
def test_a_seed_gives_the_same_response_alone_and_in_a_crowd(running, chat, prompts):
    sampling = Sampling(1.0, 0.95, 16, chat.stop_ids)
    requests = [(context, sampling, number) for number, context in enumerate(prompts)]
    alone = [running.one(*request).token_ids for request in requests]
    unseeded = [(context, Sampling(0.8, 1.0, 20, NO_STOP), None) for context in prompts]
    crowd = running.all([*unseeded, *reversed(requests), *unseeded])[len(prompts) : 2 * len(prompts)]
    assert [one.token_ids for one in reversed(crowd)] == alone


def test_another_seed_gives_another_response(running, chat, prompts):
    sampling = Sampling(1.0, 1.0, 24, NO_STOP)
    draws = running.all([(prompts[0], sampling, seed) for seed in range(20)])
    assert len({tuple(draw.token_ids) for draw in draws}) == 20


@pytest.mark.long
def test_seeded_requests_hold_under_load(running, chat):
    """More prompts than one pass or the slots hold, some seeded: vLLM's CPU engine would die of a prompt in pieces."""
    story = " ".join(["Ann has two apples."] * 40)
    contexts = [prompt(chat, f"{number}. {story}") for number in range(3 * SLOTS)]
    assert sum(map(len, contexts)) > 2 * 4096
    sampling = Sampling(1.0, 1.0, 3, NO_STOP)
    completions = running.all(
        [(context, sampling, number if number % 3 else None) for number, context in enumerate(contexts)]
    )
    assert {len(completion.token_ids) for completion in completions} == {3}


# What only the transformers engine promises.


@pytest.fixture(scope="module")
def ours(reference_model: ModelDirectory) -> Iterator[Running]:
    loop = asyncio.new_event_loop()
    context = starting("transformers", reference_model.path)
    yield Running(loop.run_until_complete(context.__aenter__()), loop)
    loop.run_until_complete(context.__aexit__(None, None, None))
    loop.close()


def test_a_conversation_without_room_is_refused(ours, chat, prompts):
    with pytest.raises(UserError, match=r"rollout\.engine\.max_context_tokens"):
        ours.one(prompts[0], greedy(chat, ROOM))


def test_an_error_of_the_model_reaches_everyone(reference_model, chat, prompts):
    async def poisoned() -> list[Completion | BaseException]:
        async with starting("transformers", reference_model.path) as engine:
            waiting = [engine.generate(context, greedy(chat)) for context in [*prompts, [10**6], *prompts]]
            results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 120)
            with pytest.raises(IndexError):
                await engine.generate(prompts[0], greedy(chat))
            return results

    results = asyncio.run(poisoned())
    assert any(isinstance(result, IndexError) for result in results)
    assert all(isinstance(result, IndexError | Completion) for result in results)


def test_closing_ends_the_thread_and_tells_those_who_wait(reference_model, chat, prompts):
    import threading

    async def leave_early() -> BaseException:
        async with starting("transformers", reference_model.path) as engine:
            waiting = asyncio.ensure_future(engine.generate(prompts[0], greedy(chat, 250, NO_STOP)))
            await asyncio.sleep(0.1)
        (result,) = await asyncio.gather(waiting, return_exceptions=True)
        return result

    before = threading.active_count()
    assert isinstance(asyncio.run(leave_early()), RuntimeError)
    assert threading.active_count() == before


def start_and_stop(path: Path, **changes: Any) -> None:
    async def start() -> None:
        async with starting("transformers", path, **changes):
            pass

    asyncio.run(start())


def test_too_many_sequences_for_the_memory_are_refused_in_words(reference_model):
    with pytest.raises(UserError, match=r"lower rollout\.engine\.max_sequences"):
        start_and_stop(reference_model.path, parameters=EngineParameters(max_sequences=10**8))


def test_a_directory_without_safetensors_is_refused(tmp_path, reference_model):
    (tmp_path / "config.json").write_bytes((reference_model.path / "config.json").read_bytes())
    with pytest.raises(UserError, match="cannot load"):
        start_and_stop(tmp_path)


def test_a_model_that_forgets_is_refused(tmp_path):
    """Layers with a sliding window shorter than the conversation keep less than the slots would show them."""
    from transformers import MistralConfig, MistralForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = MistralConfig(vocab_size=64, num_hidden_layers=1, sliding_window=8, **sizes)
    MistralForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="do not look at the whole conversation"):
        start_and_stop(tmp_path)
