"""What is embedded in a page, read without a browser."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.errors import UserError
from drift.evaluation.viewer.content import Content, Heading, content_of
from drift.evaluation.viewer.page import page
from drift.evaluation.viewer.viewer import held_out_viewer, training_viewer
from drift.problems.problem import Problem
from drift.weighting.retention import WEIGHTED_TURN_SCHEMA

PROJECT = Path(__file__).resolve().parents[3]
EXAMPLES = ("kept", "pruned", "dropped")
HEADING = Heading("Title", "Explanation.", "Incorrect.", 3)


class Scripts(HTMLParser):
    """The content of every script element, as a browser finds them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[tuple[dict, str]] = []
        self._inside = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self._inside = tag == "script"
        if self._inside:
            self.found.append((dict(attrs), ""))

    def handle_data(self, data):
        if self._inside:
            attributes, before = self.found[-1]
            self.found[-1] = attributes, before + data

    def handle_endtag(self, tag):
        self._inside = False


def embedded(html: str) -> dict:
    return {attributes["id"]: json.loads(text) for attributes, text in Scripts(html).found if "id" in attributes}


@given(st.text() | st.sampled_from(["</script><script>", "<!--<script>", "\u2028\u2029", "&lt;", "]]>", "\x00"]))
def test_what_is_embedded_is_read_back_whatever_it_says(text):
    html = page(Content({"title": "T", "text": text}, [{"said": text}]))
    assert embedded(html) == {"index": {"title": "T", "text": text}, "chunk-0": {"said": text}}
    assert len(Scripts(html).found) == 3


def test_a_page_names_nothing_outside_itself(data, reader, provenance):
    html = held_out_viewer(data.held_out(), {"reference": provenance, "trained": provenance}, reader)
    assert not re.search(r"<(link|img|iframe|object|embed)\b|\bsrc=|\bhref=|@import|url\(", html)
    addresses = set(re.findall(r"https?://[^\s\"'<]+", html))
    assert addresses == {"http://www.w3.org/1998/Math/MathML"}, "the name of a vocabulary, which nobody asks for"


def test_a_page_holds_every_conversation_in_parts_that_are_its_text(data, reader):
    shown = data.held_out()
    content = content_of(shown, HEADING, reader)
    turns = [turns for chunk in content.chunks for turns in chunk["conversations"]]
    assert len(turns) == len(shown.conversations) == len(content.index["rows"]) == shown.total
    position = 0
    for chunk in content.chunks:
        for turns in chunk["conversations"]:
            for turn, said in zip(turns, shown.conversations[position].turns, strict=True):
                text = turn["text"] if isinstance(turn["text"], str) else joined(turn["text"], chunk["formulas"])
                assert text == said["response"]
                assert turn["cut"] == (not said["stopped"])
            position += 1


def joined(parts, formulas):
    return "".join(formulas[part][0] if isinstance(part, int) else part for part in parts)


def test_conversations_are_by_problem_in_the_order_of_the_table(data):
    shown = data.held_out()
    assert shown.problems == data.problems
    order = [(said.problem_id, said.policy, said.trajectory_id) for said in shown.conversations]
    place = {problem.problem_id: index for index, problem in enumerate(data.problems)}
    assert order == sorted(order, key=lambda key: (place[key[0]], key[1], key[2]))


def test_training_conversations_say_what_becomes_of_them(data):
    shown = data.training()
    weights = data.shards["weighted_turns"].read(["weight"])["weight"].to_pylist()
    by_fate = {fate: [said for said in shown.conversations if said.example == fate] for fate in EXAMPLES}
    assert len(by_fate["dropped"]) == 2 * 4, "two problems that none of four trajectories solved"
    assert len(by_fate["pruned"]) == sum(weight < 0.01 for weight in weights) > 0
    assert {said.weight for said in by_fate["dropped"]} == {None}
    for said in shown.conversations:
        assert said.targets == (frozenset({said.turns[-1]["start"]}) if said.example == "kept" else frozenset())


def test_the_raw_chat_put_together_is_the_decoded_chat(data, reader, chat):
    for said in data.held_out().conversations[:10]:
        raw = reader.read(said.token_ids, said.turns)
        pieces = list(raw.prompt)
        for turn, response, between in zip(said.turns, raw.responses, [*raw.between, []], strict=True):
            pieces += [turn["response"] if part is None else part for part in response] + between
        text = "".join(part[0] if isinstance(part, list) else part for part in pieces)
        assert text == chat.tokenizer.decode(said.token_ids)
        assert ["<|im_end|>"] in pieces


def test_tokens_of_another_model_are_not_shown_as_a_chat(data, reader):
    said = data.held_out().conversations[0]
    assert reader.read([token_id + 1 for token_id in said.token_ids], said.turns) is None
    assert reader.read([10_000_000 for _ in said.token_ids], said.turns) is None
    other = replace(said, token_ids=[token_id + 1 for token_id in said.token_ids])
    content = content_of(replace(data.held_out(), conversations=[other]), HEADING, reader)
    assert content.index["rows"][0]["raw"] is False
    assert content.chunks[0]["conversations"][0][0]["raw"] is None


def test_conversations_on_problems_that_are_no_longer_there_are_refused(data):
    short = replace(data, problems=data.problems[1:])
    with pytest.raises(UserError, match="`eval_problems` does not hold problem 'algebra/0'"):
        short.held_out()
    with pytest.raises(UserError, match="`train_problems` does not hold problem 'algebra/0'"):
        short.training()


def test_weights_of_other_returns_are_refused(data, make_written):
    table = data.shards["weighted_turns"].read()
    rows = [row | {"shaped_return": row["shaped_return"] + 1} for row in table.to_pylist()]
    others = data.shards | {"weighted_turns": make_written(rows, WEIGHTED_TURN_SCHEMA)}
    with pytest.raises(UserError, match="`weighted_turns` was not computed from this version"):
        replace(data, shards=others).training()


def test_larger_data_is_a_sample_of_whole_problems(converse, make_data):
    said = [("It is 2.", "correct", "2", True)]
    problems = [Problem(f"p{index}", "1 + 1?", "2", "math", "sums") for index in range(260)]
    held = converse(problems[0], 0, said)
    every = [replace(held, problem_id=p.problem_id, trajectory_id=i) for p in problems for i in range(8)]
    shown = make_data(problems, {"reference": every}).held_out()
    assert (shown.total, shown.total_problems) == (260 * 8, 260)
    assert (len(shown.conversations), len(shown.problems)) == (2000, 250)


def test_both_pages_are_deterministic(data, reader, provenance):
    policies = {"reference": provenance, "trained": provenance}
    assert held_out_viewer(data.held_out(), policies, reader) == held_out_viewer(data.held_out(), policies, reader)
    assert training_viewer(data.training(), provenance, reader) == training_viewer(data.training(), provenance, reader)


def test_the_sources_of_the_page_are_in_the_wheel(tmp_path):
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, tmp_path)
    shutil.copytree(PROJECT / "src" / "drift", tmp_path / "src" / "drift")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", "wheels", "."]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options], cwd=tmp_path, check=True)
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    directory = "drift/evaluation/viewer/assets"
    sources = {f"{directory}/{source.name}" for source in (PROJECT / "src" / directory).iterdir()}
    assert sources <= set(zipfile.ZipFile(wheel).namelist())
