"""The two pages: held-out conversations of every policy, and training conversations with their weights."""

from collections.abc import Mapping
from typing import Any

from drift.evaluation.viewer.content import Heading, content_of
from drift.evaluation.viewer.conversations import Shown
from drift.evaluation.viewer.page import page
from drift.evaluation.viewer.raw_chat import RawChatReader


def held_out_viewer(shown: Shown, provenance: Mapping[str, Any], reader: RawChatReader) -> str:
    """The page of the held-out conversations.

    Args:
        shown: the conversations.
        provenance: of the evaluation: that of a rollout for each policy.
        reader: decodes the chats.
    """
    protocol = next(iter(provenance.values()))["protocol"]
    explanation = f"What {_listed(list(provenance))} said to problems that are in no training data."
    return page(content_of(shown, _heading("Held-out conversations", explanation, protocol), reader))


def training_viewer(shown: Shown, provenance: Mapping[str, Any], reader: RawChatReader) -> str:
    """The page of the training conversations.

    Args:
        shown: the conversations.
        provenance: of the rollout.
        reader: decodes the chats.
    """
    explanation = "What the reference policy said to the training problems, and how much of it is trained on."
    return page(content_of(shown, _heading("Training conversations", explanation, provenance["protocol"]), reader))


def _heading(title: str, explanation: str, protocol: Mapping[str, Any]) -> Heading:
    return Heading(title, explanation, protocol["feedback"], protocol["max_turns"])


def _listed(policies: list[str]) -> str:
    names = [f"the {name} policy" for name in policies]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
