"""Chat rendering in tokens: a conversation grows by appending token ids and is never tokenised again.

The chat template is asked twice: for the prompt of a problem, and once per model for the *bridge*, the tokens between a
response and the next one (end of turn, the user's feedback, the header of the next response). Everything else is the
sampled ids themselves. A template that rewrites earlier turns (strips `<think>` text, say) would make the tokens of
training differ from those a deployed model sees; it is found here and refused. One that writes today's date gets a
fixed day. One that trims messages (Llama's) trims no response here: each stays as it was sampled, outer whitespace
included. A response may also end with another stop token than the template's; it is kept as it was sampled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, cast

from drift.errors import UserError
from drift.parameters import ProtocolParameters
from drift.problems.problem import Problem
from drift.protocol.prompts import PROMPT_STYLES, Message, PromptStyle

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PINNED_DATE = date(2026, 1, 1)
_RESPONSES_TO_KEEP = ("The first response.", "<think>A thought.</think> <answer>1</answer>")


@dataclass(frozen=True)
class ChatFormat:
    """The chat template of one model, as operations on token ids.

    Attributes:
        tokenizer: the model's tokenizer.
        style: the prompt style.
        feedback_ids_stopped: appended after a response that ended by itself (its last token is the end of turn).
        feedback_ids_cut: appended after a response that was cut: the missing end of turn comes first.
        stop_ids: the ids at which the model ends its turn.
    """

    tokenizer: "PreTrainedTokenizerBase"
    style: PromptStyle
    feedback_ids_stopped: tuple[int, ...]
    feedback_ids_cut: tuple[int, ...]
    stop_ids: frozenset[int]

    @property
    def end_of_turn_id(self) -> int:
        """The stop token with which the template itself ends a response."""
        return self.feedback_ids_cut[0]

    def prompt_ids(self, problem: Problem) -> list[int]:
        """Token ids of the chat up to the model's first response."""
        return tokenize(self.tokenizer, render(self.tokenizer, self.style.messages(problem), open_response=True))

    def text(self, response_ids: Sequence[int]) -> str:
        """A response as text, without special tokens."""
        return str(self.tokenizer.decode(list(response_ids), skip_special_tokens=True))


def chat_format_of(model_path: Path, protocol: ProtocolParameters, trust_remote_code: bool = False) -> ChatFormat:
    """The chat format of the model in a local directory, under a protocol; see `chat_format` for what it refuses."""
    from transformers import AutoTokenizer, GenerationConfig

    loaded = AutoTokenizer.from_pretrained(model_path, trust_remote_code=trust_remote_code)
    tokenizer = cast("PreTrainedTokenizerBase", loaded)
    eos = None
    if (model_path / "generation_config.json").is_file():
        eos = GenerationConfig.from_pretrained(model_path).eos_token_id
    extra_stop_ids = [] if eos is None else [eos] if isinstance(eos, int) else list(eos)
    return chat_format(tokenizer, PROMPT_STYLES[protocol.prompt], protocol.feedback, extra_stop_ids)


def chat_format(
    tokenizer: "PreTrainedTokenizerBase", style: PromptStyle, feedback: str, extra_stop_ids: Sequence[int] = ()
) -> ChatFormat:
    """Derives the chat format of a model and checks that its template never rewrites history.

    Args:
        tokenizer: the model's tokenizer, with a chat template.
        style: the prompt style.
        feedback: what the user says after a wrong response.
        extra_stop_ids: further ids that end a turn (those of the model's generation config).

    Raises:
        UserError: when the template is missing, rewrites earlier turns, or does not end a turn with a single stop
            token.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise UserError(
            f"The tokenizer of {tokenizer.name_or_path} has no chat template: use an instruction-tuned model, or "
            "save a chat_template.jinja beside its weights."
        )
    opening: list[Message] = style.messages(Problem("check", "1 + 1", "2", "math", "check"))
    bridges = {_bridge(tokenizer, opening, response, feedback) for response in _RESPONSES_TO_KEEP}
    if len(bridges) != 1:
        raise _rewrites_history(tokenizer)
    bridge_ids = tokenize(tokenizer, bridges.pop())
    eos_id = tokenizer.eos_token_id
    stop_ids = frozenset([*extra_stop_ids, *([eos_id] if isinstance(eos_id, int) else [])])
    if not bridge_ids or bridge_ids[0] not in stop_ids:
        raise UserError(
            f"The chat template of {tokenizer.name_or_path} does not end a response with one of the model's stop "
            f"tokens {sorted(stop_ids)}: set eos_token (or eos_token_id in generation_config.json)."
        )
    _refuse_doubled_bos(tokenizer, opening)
    return ChatFormat(tokenizer, style, tuple(bridge_ids[1:]), tuple(bridge_ids), stop_ids)


def render(tokenizer: "PreTrainedTokenizerBase", messages: Sequence[Message], open_response: bool) -> str:
    """The chat as text; `open_response` ends it with the header of the model's next response."""
    from jinja2 import TemplateError

    try:
        return str(
            tokenizer.apply_chat_template(
                list(messages), add_generation_prompt=open_response, tokenize=False, strftime_now=_pinned_date
            )
        )
    except TemplateError as error:
        raise UserError(
            f"The chat template of {tokenizer.name_or_path} refuses the conversation ({error}): use a model whose "
            "template takes system, user and assistant messages."
        ) from error


def _pinned_date(date_format: str) -> str:
    """What templates get that ask for today's date: a prompt must not change from one day to the next."""
    return PINNED_DATE.strftime(date_format)


def tokenize(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """Token ids of rendered chat text; the template has written all special tokens, so none are added."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _bridge(tokenizer: "PreTrainedTokenizerBase", opening: Sequence[Message], response: str, feedback: str) -> str:
    """The text the template puts between `response` and the header of the next one, from the end of turn on."""
    history = [*opening, {"role": "assistant", "content": response}, {"role": "user", "content": feedback}]
    before = render(tokenizer, opening, open_response=True) + response
    after = render(tokenizer, history, open_response=True)
    if not after.startswith(before):
        raise _rewrites_history(tokenizer)
    return after[len(before) :]


def _rewrites_history(tokenizer: "PreTrainedTokenizerBase") -> UserError:
    return UserError(
        f"The chat template of {tokenizer.name_or_path} rewrites earlier turns (strips <think> text, for "
        "instance), so a later turn would not start with the tokens of the earlier ones: use a template that keeps "
        "history as it was said."
    )


def _refuse_doubled_bos(tokenizer: "PreTrainedTokenizerBase", opening: Sequence[Message]) -> None:
    ids = tokenize(tokenizer, render(tokenizer, opening, open_response=True))
    bos_id = tokenizer.bos_token_id
    if bos_id is not None and ids[:2] == [bos_id, bos_id]:
        raise UserError(
            f"The chat template of {tokenizer.name_or_path} starts with two beginning-of-sequence tokens: "
            "remove one from it."
        )
