"""What the site's pages have from the code and from measurements: nothing of it is written twice.

<!-- parameters -->                        every parameter with its type, default and docstring
<!-- benchmarks -->                        what benchmarks/*.json say they were measured with
<!-- source: drift.module.function -->     a function as it is in the code
"""

import importlib
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, RootModel
from pydantic_core import PydanticUndefined

PROJECT = Path(__file__).resolve().parents[1]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for every page."""
    markdown = re.sub(r"<!-- source: (\S+) -->", lambda match: source(match[1]), markdown)
    if "<!-- parameters -->" in markdown:
        markdown = markdown.replace("<!-- parameters -->", "\n".join(parameters()))
    if "<!-- benchmarks -->" in markdown:
        markdown = markdown.replace("<!-- benchmarks -->", "\n".join(benchmarks()))
    return markdown


def source(name: str) -> str:
    """A function's source as a code block."""
    module, _, function = name.rpartition(".")
    return f'```python title="{name}"\n{inspect.getsource(getattr(importlib.import_module(module), function))}```'


def parameters() -> Iterator[str]:
    """A heading and a table for each top-level key of `parameters.yml`, and for the models inside it."""
    from drift.parameters import TOP_LEVEL_KEYS

    for key, model in TOP_LEVEL_KEYS.items():
        yield from section(key, model)


def section(name: str, model: type[BaseModel]) -> Iterator[str]:
    """One model, then those inside it."""
    yield f"\n## `{name}`\n"
    yield first_paragraph(model) + "\n"
    if issubclass(model, RootModel):
        return
    yield "| parameter | type | default | what it is |"
    yield "|---|---|---|---|"
    for field, facts in model.model_fields.items():
        words = " ".join((facts.description or "").split())
        yield f"| `{field}` | {cell(type_in_words(facts.annotation))} | {cell(default(facts))} | {escaped(words)} |"
    for field, facts in model.model_fields.items():
        for inner in models_in(facts.annotation):
            yield from section(f"{name}.{field}" + (f" ({inner.__name__})" if name == "problems" else ""), inner)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models of a field's type."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    inner = (model for part in getattr(annotation, "__args__", ()) for model in models_in(part))
    return list(dict.fromkeys(inner))


def type_in_words(annotation: Any) -> str:
    """As it is written in the code, without module names."""
    text = annotation.__name__ if inspect.isclass(annotation) else str(annotation)
    text = re.sub(r"typing\.|drift\.[a-z_.]+\.|annotated_types\.|NoneType", "", text)
    text = re.sub(r"Annotated\[(\w+), [^\]]*\]", r"\1", text)
    return text if len(text) < 80 else text[:77] + "..."


def default(facts: Any) -> str:
    """The value that is taken where nothing is said; `required` where there is none."""
    if facts.default_factory is not None:
        return "empty"
    if facts.default is PydanticUndefined:
        return "required"
    return "see below" if isinstance(facts.default, BaseModel) else json.dumps(facts.default, default=str)


def first_paragraph(model: type[BaseModel]) -> str:
    """Of the model's docstring."""
    return " ".join((inspect.getdoc(model) or "").split("\n\n")[0].split())


def benchmarks() -> Iterator[str]:
    """One row for each result that is committed."""
    yield "| script | command | measured on | result |"
    yield "|---|---|---|---|"
    for file in sorted((PROJECT / "benchmarks").glob("*.json")):
        facts = json.loads(file.read_text())
        facts = facts if isinstance(facts, dict) else {}
        machine = facts.get("machine", {})
        processor = machine.get("cpu") or machine.get("processor") or machine.get("machine") or ""
        flags = ", ".join(machine.get("flags", []))
        where = " ".join(filter(None, [str(processor), f"({flags})" if flags else "", str(facts.get("date", ""))]))
        yield f"| `{file.stem}.py` | {cell(str(facts.get('command', '')))} | {escaped(where)} | `{file.name}` |"


def cell(text: str) -> str:
    """A code cell of a table; empty stays empty."""
    return f"`{escaped(text)}`" if text else ""


def escaped(text: str) -> str:
    """A bar would end the cell."""
    return text.replace("|", "\\|")
