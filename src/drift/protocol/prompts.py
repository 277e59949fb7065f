"""Prompt styles: the words around a problem, and the answer format they ask for.

A new style is one more row of `PROMPT_STYLES` (and its name in `ProtocolParameters.prompt`).
"""

from dataclasses import dataclass

from drift.problems.problem import Problem

Message = dict[str, str]


@dataclass(frozen=True, slots=True)
class PromptStyle:
    """How one problem becomes the first messages of a chat.

    Attributes:
        system: the system message; None leaves it to the chat template, which may have a default of its own.
        task: the user message for problems with a free answer; `{problem}` is the problem's text.
        choice_task: the user message for multiple choice, which asks for the letter only.
    """

    system: str | None
    task: str
    choice_task: str

    def messages(self, problem: Problem) -> list[Message]:
        """The chat up to the model's first response."""
        task = self.choice_task if problem.verifier == "choice" else self.task
        system = [] if self.system is None else [{"role": "system", "content": self.system}]
        return [*system, {"role": "user", "content": task.replace("{problem}", problem.problem)}]


_THINK_ANSWER = (
    "Show your reasoning in <think> </think> tags, and give the final answer in <answer> </answer> tags, "
    "for example <answer> {example} </answer>.\n\n"
)

PROMPT_STYLES: dict[str, PromptStyle] = {
    "boxed": PromptStyle(
        system=None,
        task="{problem} Put your final answer within \\boxed{}.",
        choice_task="{problem}\n\nPut the letter of the correct option, and nothing else, within \\boxed{}.",
    ),
    "think_answer": PromptStyle(
        system="You're a helpful assistant.",
        task="Solve the following problem. " + _THINK_ANSWER.replace("{example}", "\\frac{1}{2}") + "{problem}",
        choice_task="Answer the following multiple-choice question. "
        + _THINK_ANSWER.replace("{example}", "A")
        + "The answer is the letter of the correct option only.\n\n{problem}",
    ),
}
