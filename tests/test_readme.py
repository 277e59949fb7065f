"""The front page: what it says is what was measured, and what it names is there."""

import importlib.util
import json
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
README = (PROJECT / "README.md").read_text()


def figures_module():
    specification = importlib.util.spec_from_file_location("figures", PROJECT / "docs" / "figures.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_its_figures_are_those_of_the_committed_result():
    facts = json.loads((PROJECT / "benchmarks/default_run.json").read_text())
    assert figures_module().with_figures(README, facts) == README


def test_it_is_a_front_door():
    assert len(README) < 13_000
    assert max(map(len, re.sub(r"\|.*\||<img.*?>", "", README).splitlines())) <= 125
    for target in re.findall(r"\]\((?!http)([^)#]+)\)|src=\"([^\"]+)\"", README):
        assert (PROJECT / (target[0] or target[1])).exists(), target


def test_the_reference_of_parameters_is_made_from_all_of_them():
    specification = importlib.util.spec_from_file_location("generated", PROJECT / "docs" / "generated.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    from drift.parameters import TOP_LEVEL_KEYS

    page = "\n".join(module.parameters())
    for key, model in TOP_LEVEL_KEYS.items():
        assert f"## `{key}`" in page
        for field, facts in model.model_fields.items():
            assert field == "root" or f"| `{field}` |" in page
            assert field == "root" or facts.description, f"{key}.{field} has no words"
