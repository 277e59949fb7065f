"""Chat templates of the paper's models over five turns: no token of a conversation ever changes once it is there.

The templates are written here in our own words and give the strings that the published ones give; the vocabulary is
the bundled model's, with the families' special tokens added and, as in both families, line feeds that stay together.
"""

import copy

import pytest
from tokenizers import Regex
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split
from tokenizers.processors import TemplateProcessing

from drift.parameters import ProtocolParameters
from drift.problems.problem import Problem
from drift.protocol.chat import ChatFormat, chat_format, chat_format_of
from drift.protocol.episode import Episode
from drift.protocol.prompts import PROMPT_STYLES

FEEDBACK = "Incorrect. Please think again."
PROBLEM = Problem("p", "What is $2^{10} + 1$?", "1025", "math", "math")
TASK = PROMPT_STYLES["think_answer"].messages(PROBLEM)[1]["content"]
SYSTEM = "You're a helpful assistant."
PLAIN = [
    "<think>2^10 is 1000.</think> <answer> 1001 </answer>",
    "Let me see.\n\n<think>\nno tag is closed",
    "</think><answer>1024</answer>",
    "It is 1,025?",
    "<think> </think>\n<answer> 1025 </answer>",
]
OUTER_WHITESPACE = [
    "\n\n<think>2^10 is 1000.</think> <answer> 1001 </answer>\n",
    "  1023",
    "1024 \n \n",
    "",
    " \n<answer> 1025 </answer>  ",
]

QWEN = (
    "{%- set given = messages[0].role == 'system' -%}"
    "{%- set system = messages[0].content if given"
    " else 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.' -%}"
    "{{- '<|im_start|>system\n' ~ system ~ '<|im_end|>\n' -}}"
    "{%- for said in messages[(1 if given else 0):] -%}"
    "{{- '<|im_start|>' ~ said.role ~ '\n' ~ said.content ~ '<|im_end|>\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)
LLAMA = (
    "{%- macro part(role, content) -%}"
    "{{- '<|start_header_id|>' ~ role ~ '<|end_header_id|>\n\n' ~ content ~ '<|eot_id|>' -}}"
    "{%- endmacro -%}"
    "{%- set given = messages[0].role == 'system' -%}"
    "{%- set day = date_string if date_string is defined else '26 Jul 2024' -%}"
    "{%- set facts = 'Cutting Knowledge Date: December 2023\nToday Date: ' ~ day ~ '\n\n' -%}"
    "{{- bos_token ~ part('system', facts ~ (messages[0].content.strip() if given else '')) -}}"
    "{%- for said in messages[(1 if given else 0):] -%}{{- part(said.role, said.content.strip()) -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}{%- endif -%}"
)
LLAMA_OF_TODAY = LLAMA.replace("else '26 Jul 2024'", "else strftime_now('%d %b %Y')")
LLAMA_ENDS = ("<|eot_id|>", "<|eom_id|>", "<|end_of_text|>")


@pytest.fixture(scope="module")
def vocabulary(reference_model):
    tokenizer = chat_format_of(reference_model.path, ProtocolParameters(feedback=FEEDBACK)).tokenizer
    together = Split(Regex(r"\s*\n+| ?[^\s]+|\s+"), "isolated")
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence([together, ByteLevel(add_prefix_space=False, use_regex=False)])
    return tokenizer


@pytest.fixture(scope="module")
def qwen_tokenizer(vocabulary):
    tokenizer = copy.deepcopy(vocabulary)
    tokenizer.chat_template = QWEN
    tokenizer.add_special_tokens({"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"})
    tokenizer.bos_token = None
    return tokenizer


@pytest.fixture(scope="module")
def llama_tokenizer(vocabulary):
    """With a first token that tokenising adds by itself, as Llama's tokenizers do."""
    tokenizer = copy.deepcopy(vocabulary)
    tokenizer.chat_template = LLAMA
    tokenizer.add_special_tokens(
        {
            "bos_token": "<|begin_of_text|>",
            "eos_token": "<|eot_id|>",
            "additional_special_tokens": ["<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|end_of_text|>"],
        }
    )
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", tokenizer.bos_token_id)]
    )
    return tokenizer


@pytest.fixture(scope="module")
def qwen(qwen_tokenizer) -> ChatFormat:
    return chat_format(qwen_tokenizer, PROMPT_STYLES["think_answer"], FEEDBACK)


@pytest.fixture(scope="module")
def llama(llama_tokenizer) -> ChatFormat:
    ends = llama_tokenizer.convert_tokens_to_ids(list(LLAMA_ENDS))
    return chat_format(llama_tokenizer, PROMPT_STYLES["think_answer"], FEEDBACK, ends)


@pytest.fixture(params=["qwen", "llama"])
def chat(request) -> ChatFormat:
    return request.getfixturevalue(request.param)


def conversation(chat: ChatFormat, responses: list[str], end: int | None = None, cut: bool = False) -> Episode:
    """Five wrong turns as the scheduler makes them; checks that tokens are only ever added."""
    episode = Episode(PROBLEM, 0, chat.prompt_ids(PROBLEM), max_turns=len(responses))
    end = chat.tokenizer.eos_token_id if end is None else end
    for response in responses:
        if episode.turns:
            episode.add_feedback(chat)
        before = list(episode.token_ids)
        sampled = [*sampled_ids(chat, response), *([] if cut else [end])]
        episode.add_turn(sampled, not cut, chat.text(sampled), "wrong", None)
        assert episode.token_ids[: len(before)] == before
        assert episode.token_ids[episode.turns[-1].start : episode.turns[-1].end] == sampled
    return episode


def sampled_ids(chat: ChatFormat, response: str) -> list[int]:
    return chat.tokenizer(response, add_special_tokens=False)["input_ids"]


def rendered(chat: ChatFormat, responses: list[str]) -> str:
    """The template on the whole chat at once, up to the end of the last response."""
    messages = PROMPT_STYLES["think_answer"].messages(PROBLEM)
    for response in responses:
        messages += [{"role": "assistant", "content": response}, {"role": "user", "content": FEEDBACK}]
    return chat.tokenizer.apply_chat_template(messages[:-1], tokenize=False)


def test_a_prompt_of_qwen_is_the_published_one(qwen):
    assert qwen.tokenizer.decode(qwen.prompt_ids(PROBLEM)) == (
        f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{TASK}<|im_end|>\n<|im_start|>assistant\n"
    )


def test_qwen_gets_its_own_system_line_where_a_style_has_none(qwen_tokenizer):
    chat = chat_format(qwen_tokenizer, PROMPT_STYLES["boxed"], FEEDBACK)
    assert chat.tokenizer.decode(chat.prompt_ids(PROBLEM)).startswith(
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\nWhat is"
    )


def test_a_prompt_of_llama_is_the_published_one(llama):
    assert llama.tokenizer.decode(llama.prompt_ids(PROBLEM)) == (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"
        f"Today Date: 26 Jul 2024\n\n{SYSTEM}<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n{TASK}<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


@pytest.mark.parametrize("cut", [False, True])
def test_five_turns_are_the_tokens_of_the_chat_rendered_whole(chat, cut):
    """A cut response brings no end of turn; the feedback then does, except after the last one."""
    ids = conversation(chat, PLAIN, cut=cut).token_ids + ([chat.tokenizer.eos_token_id] if cut else [])
    # ChatML ends a turn with a line feed, which is no target and which no turn follows here.
    whole = rendered(chat, PLAIN).rstrip("\n")
    assert ids == chat.tokenizer(whole, add_special_tokens=False)["input_ids"]


def test_qwen_keeps_outer_whitespace_as_it_was_sampled(qwen):
    ids = conversation(qwen, OUTER_WHITESPACE).token_ids
    assert qwen.tokenizer.decode(ids) == rendered(qwen, OUTER_WHITESPACE).rstrip("\n")


def test_llama_would_trim_a_response_and_the_conversation_does_not(llama):
    """What was sampled stays; between responses stand the tokens that the template puts there."""
    episode = conversation(llama, OUTER_WHITESPACE)
    trimmed, start = [], 0
    for turn in episode.turns:
        trimmed += [*episode.token_ids[start : turn.start], *sampled_ids(llama, turn.response.strip())]
        trimmed += [llama.tokenizer.eos_token_id]
        start = turn.end
    whole = rendered(llama, OUTER_WHITESPACE)
    assert llama.tokenizer.decode(trimmed) == whole != llama.tokenizer.decode(episode.token_ids)
    assert [turn.response for turn in episode.turns] == OUTER_WHITESPACE


def test_llama_begins_once_although_its_tokenizer_adds_the_first_token_by_itself(llama):
    tokenizer = llama.tokenizer
    ids = conversation(llama, PLAIN).token_ids
    assert ids.count(tokenizer.bos_token_id) == 1 and ids[0] == tokenizer.bos_token_id
    assert tokenizer(rendered(llama, PLAIN))["input_ids"].count(tokenizer.bos_token_id) == 2  # what is avoided


@pytest.mark.parametrize("end", LLAMA_ENDS)
def test_llama_may_end_a_turn_with_any_of_its_ends_and_keeps_it(llama, end):
    end_id = llama.tokenizer.convert_tokens_to_ids(end)
    assert end_id in llama.stop_ids
    text = llama.tokenizer.decode(conversation(llama, PLAIN, end_id).token_ids)
    between = f"{end}<|start_header_id|>user<|end_header_id|>\n\n{FEEDBACK}<|eot_id|>"
    assert text.count(between) == len(PLAIN) - 1


def test_a_llama_that_asks_for_todays_date_gets_one_that_stays(llama_tokenizer, llama):
    tokenizer = copy.deepcopy(llama_tokenizer)
    tokenizer.chat_template = LLAMA_OF_TODAY
    chat = chat_format(tokenizer, PROMPT_STYLES["think_answer"], FEEDBACK)
    text = tokenizer.decode(conversation(chat, PLAIN).token_ids)
    assert text == tokenizer.decode(conversation(llama, PLAIN).token_ids).replace("26 Jul 2024", "01 Jan 2026")
