"""Chat rendering in tokens, with the real tokenizer and templates that misbehave in the known ways."""

import copy

import pytest

from drift.errors import UserError
from drift.parameters import ProtocolParameters
from drift.problems.problem import Problem
from drift.protocol.chat import chat_format, chat_format_of
from drift.protocol.prompts import PROMPT_STYLES

FEEDBACK = "Incorrect. Please think again."
PROBLEM = Problem("p", "What is 14 + 15?", "29", "numeric", "arithmetic")
TURN = "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
OPEN = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"


@pytest.fixture(scope="module")
def chat(reference_model):
    return chat_format_of(reference_model.path, ProtocolParameters(feedback=FEEDBACK))


@pytest.fixture
def tokenizer(chat):
    return copy.deepcopy(chat.tokenizer)


def format_with(tokenizer, template: str | None):
    tokenizer.chat_template = template
    return chat_format(tokenizer, PROMPT_STYLES["boxed"], FEEDBACK)


def test_a_conversation_in_tokens_is_the_template_rendered_whole(chat):
    responses = ["14 + 15 = 28.", "<think>Hm.</think> It is \\boxed{29}."]
    ids = chat.prompt_ids(PROBLEM)
    for response in responses:
        ids += [*chat.tokenizer(response, add_special_tokens=False)["input_ids"], *chat.feedback_ids_cut]
    messages = PROMPT_STYLES["boxed"].messages(PROBLEM)
    for response in responses:
        messages += [{"role": "assistant", "content": response}, {"role": "user", "content": FEEDBACK}]
    assert ids == chat.tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]


def test_a_response_that_stopped_brings_its_own_end_of_turn(chat):
    (end_of_turn,) = chat.stop_ids
    assert list(chat.feedback_ids_cut) == [end_of_turn, *chat.feedback_ids_stopped]


def test_special_tokens_are_not_part_of_the_text(chat):
    ids = chat.tokenizer("29.", add_special_tokens=False)["input_ids"]
    assert chat.text([*ids, *chat.stop_ids]) == "29."


def test_multiple_choice_asks_for_the_letter(chat):
    choice = Problem("c", "Which? A) 1 B) 2", "B", "choice", "quiz")
    assert "letter" in chat.tokenizer.decode(chat.prompt_ids(choice))
    assert "letter" not in chat.tokenizer.decode(chat.prompt_ids(PROBLEM))


def test_braces_in_a_problem_are_left_alone(chat):
    problem = Problem("b", r"Simplify \frac{1}{2} {problem} {0}", "1", "math", "x")
    assert r"\frac{1}{2} {problem} {0}" in chat.tokenizer.decode(chat.prompt_ids(problem))


@pytest.mark.parametrize("style", PROMPT_STYLES)
def test_every_prompt_style_renders(chat, style):
    format_ = chat_format(chat.tokenizer, PROMPT_STYLES[style], FEEDBACK)
    assert "What is 14 + 15?" in chat.tokenizer.decode(format_.prompt_ids(PROBLEM))


def test_a_model_without_chat_template_is_refused(tokenizer):
    with pytest.raises(UserError, match="has no chat template"):
        format_with(tokenizer, None)


def test_a_template_that_strips_thoughts_is_refused(tokenizer):
    strips = TURN.replace("message['content']", "message['content'].split('</think>')[-1]")
    with pytest.raises(UserError, match="rewrites earlier turns"):
        format_with(tokenizer, "{% for message in messages %}" + strips + "{% endfor %}" + OPEN)


def test_a_template_that_counts_messages_is_refused(tokenizer):
    counted = "{{ messages | length }}{% for message in messages %}" + TURN + "{% endfor %}" + OPEN
    with pytest.raises(UserError, match="rewrites earlier turns"):
        format_with(tokenizer, counted)


def test_a_template_that_ends_turns_with_another_token_is_refused(tokenizer):
    other = ("{% for message in messages %}" + TURN + "{% endfor %}" + OPEN).replace("<|im_end|>", "<|endoftext|>")
    with pytest.raises(UserError, match="stop tokens"):
        format_with(tokenizer, other)


def test_a_template_that_doubles_the_first_token_is_refused(tokenizer):
    doubled = "{{ bos_token }}{% for message in messages %}" + TURN + "{% endfor %}" + OPEN
    with pytest.raises(UserError, match="beginning-of-sequence"):
        format_with(tokenizer, doubled)


def test_a_template_that_refuses_system_messages_is_one_clear_sentence(tokenizer):
    refuses = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    tokenizer.chat_template = refuses + "{% for message in messages %}" + TURN + "{% endfor %}" + OPEN
    with pytest.raises(UserError, match="System role not supported"):
        chat_format(tokenizer, PROMPT_STYLES["think_answer"], FEEDBACK)
    chat_format(tokenizer, PROMPT_STYLES["boxed"], FEEDBACK)  # this style has no system message


def test_a_template_that_writes_the_date_gets_a_fixed_day(tokenizer):
    dated = "{{ strftime_now('%d %b %Y') }}{% for message in messages %}" + TURN + "{% endfor %}" + OPEN
    format_ = format_with(tokenizer, dated)
    assert format_.tokenizer.decode(format_.prompt_ids(PROBLEM)).startswith("01 Jan 2026")
