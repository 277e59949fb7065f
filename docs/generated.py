"""What the site's pages have from the code and from measurements: nothing of it is written twice.

<!-- parameters -->                        every parameter with its type, default and docstring
<!-- benchmarks -->                        what benchmarks/*.json say they were measured with
<!-- source: drift.module.function -->     a function as it is in the code
"""

import ast
import importlib
import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, RootModel
from pydantic_core import PydanticUndefined

PROJECT = Path(__file__).resolve().parents[1]
_NOT_SHOWN = ("command", "machine", "date", "packages")
_LONGEST = 3000


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
    types = types_as_written(model)
    yield "| parameter | type | default | what it is |"
    yield "|---|---|---|---|"
    for field, facts in model.model_fields.items():
        words = " ".join((facts.description or "").split())
        yield f"| `{field}` | {cell(types[field])} | {cell(default(facts))} | {escaped(words)} |"
    for field, facts in model.model_fields.items():
        for inner in models_in(facts.annotation):
            yield from section(f"{name}.{field}" + (f" ({inner.__name__})" if name == "problems" else ""), inner)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models of a field's type."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    inner = (model for part in getattr(annotation, "__args__", ()) for model in models_in(part))
    return list(dict.fromkeys(inner))


def types_as_written(model: type[BaseModel]) -> dict[str, str]:
    """The type of each field as it stands in the code, those of the classes it builds on included."""
    types: dict[str, str] = {}
    for part in reversed(model.__mro__):
        if issubclass(part, BaseModel) and part is not BaseModel and part is not RootModel:
            (body,) = ast.parse(textwrap.dedent(inspect.getsource(part))).body
            fields = (line for line in body.body if isinstance(line, ast.AnnAssign))  # pyrefly: ignore
            types |= {ast.unparse(line.target): ast.unparse(line.annotation).replace("'", '"') for line in fields}
    return types


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
    """A section for each result that is committed: what the script measures, where it was run, what came out."""
    for file in sorted((PROJECT / "benchmarks").glob("*.json")):
        facts = json.loads(file.read_text())
        script = ast.get_docstring(ast.parse(file.with_suffix(".py").read_text())) or ""
        yield f"\n## {file.stem}.py\n\n{script.split(chr(10) + chr(10))[0]}\n"
        result = facts
        if isinstance(facts, dict):
            machine = facts.get("machine", {})
            said = [facts.get("command"), machine.get("cpu"), " ".join(machine.get("flags", [])), facts.get("date")]
            yield " · ".join(f"`{word}`" for word in said if word) + "\n"
            result = {name: value for name, value in facts.items() if name not in (*_NOT_SHOWN, "runs")}
        text = json.dumps(result, indent=1)
        shown = text if len(text) < _LONGEST else text[:_LONGEST] + "\n… (the rest is in the file)"
        yield f'```json title="benchmarks/{file.name}"\n{shown}\n```'


def cell(text: str) -> str:
    """A code cell of a table; empty stays empty."""
    return f"`{escaped(text)}`" if text else ""


def escaped(text: str) -> str:
    """A bar would end the cell."""
    return text.replace("|", "\\|")
