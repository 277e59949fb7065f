"""How long the viewer takes to open 2,000 conversations, beside a page that draws them all at once.

    python benchmarks/viewer.py

Both pages hold the same data and draw conversations with the same code, in headless Chromium, each in a fresh window,
in turns. Problems have formulas, responses have about 100 words. `opened` is from the start of loading until the
conversation is drawn and the browser has painted; `search` and `step` are from the key to the next paint. Medians, and
the slowest of the runs. Written to `benchmarks/viewer.json`.
"""

import json
import random
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drift.evaluation.viewer.content import Content, Heading, content_of
from drift.evaluation.viewer.conversations import Conversation, Shown
from drift.evaluation.viewer.page import SCRIPTS, asset, page
from drift.evaluation.viewer.raw_chat import RawChat, RawChatReader
from drift.problems.problem import Problem

if TYPE_CHECKING:
    from playwright.sync_api import Browser

RESULT = Path(__file__).with_suffix(".json")
CONVERSATIONS, MAX_TURNS, WORDS, RUNS = 2_000, 5, 100, 7
SWITCHES = "--no-sandbox --disable-background-networking --disable-component-update --disable-sync --no-first-run"

SENTENCE = "let us now think about the number of ways in which the sum of two such terms is even then"

# Instead of main.js: every conversation, one under the other.
NAIVE = """
const nothing = new Proxy({}, { get: () => () => {} });
document.body.style.overflow = "auto";
document.body.replaceChildren(...rows.flatMap((row) => readerView(row, null, nothing)));
performance.mark("ready");
"""
PAINTED = (
    """() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(() => resolve(performance.now()))))"""
)


class NoChat(RawChatReader):
    """The raw chats are left out: they cost the same in both pages, and nobody has looked at one yet."""

    def __init__(self) -> None: ...

    def read(self, token_ids: Any, turns: Any) -> RawChat | None:
        """Nothing."""
        return None


def content() -> Content:
    """Made-up conversations; about a fifth of all turns are correct."""
    rng = random.Random(0)
    words = SENTENCE.split()
    problems = [
        Problem(
            f"p{index}",
            f"Let $x^2 = \\frac{{{index}}}{{4}}$. What is $\\sqrt{{x}}$?",
            f"{index}",
            "math",
            f"b{index % 6}",
        )
        for index in range(CONVERSATIONS // 2)
    ]

    def response(verdict: str) -> dict[str, Any]:
        said: list[str] = rng.choices(words, k=WORDS)
        for _ in range(4):
            said.insert(rng.randrange(WORDS), f"$x_{{{rng.randrange(999)}}} = \\frac{{{rng.randrange(999)}}}{{2}}$")
        return {
            "response": " ".join(said),
            "start": 0,
            "end": WORDS,
            "answer": str(rng.randrange(99)),
            "verdict": verdict,
            "stopped": True,
        }

    conversations = []
    for problem in problems:
        for policy in ("reference", "trained"):
            verdicts: list[str] = []
            while len(verdicts) < MAX_TURNS and "correct" not in verdicts:
                verdicts.append("correct" if rng.random() < 0.2 else "wrong")
            conversations.append(Conversation(problem.problem_id, policy, 0, [response(v) for v in verdicts], [], 0.5))
    shown = Shown(conversations, problems, len(conversations), len(problems))
    return content_of(shown, Heading("Conversations", "Made up.", "Incorrect.", MAX_TURNS), NoChat())


def measure(browser: "Browser", file: Path, interactive: bool) -> dict[str, float]:
    """Opens a page in a fresh window; milliseconds."""
    window = browser.new_page(viewport={"width": 1400, "height": 900})
    window.set_default_timeout(120_000)
    window.goto(f"file://{file}")
    window.wait_for_function("performance.getEntriesByName('ready').length")
    took = {"opened": window.evaluate(PAINTED), "elements": window.evaluate("document.querySelectorAll('*').length")}
    if interactive:
        window.wait_for_timeout(1_500)  # it reads ahead, as it would while a person looks
        start = "performance.now()"
        before = window.evaluate(f"() => {{ const start = {start}; step(1); return start }}")
        took["step"] = window.evaluate(PAINTED) - before
        before = window.evaluate(f"() => {{ const start = {start}; state.q = 'x_{{77}}'; update(); return start }}")
        took["search"] = window.evaluate(PAINTED) - before
    window.close()
    return took


def main() -> None:
    """Measures both pages in turns."""
    from playwright.sync_api import sync_playwright

    held = content()
    sources = [asset(name) for name in SCRIPTS]
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        files = {"viewer": Path(directory) / "viewer.html", "everything at once": Path(directory) / "naive.html"}
        files["viewer"].write_text(page(held), encoding="utf-8")
        files["everything at once"].write_text(page(held, [*sources[:-1], NAIVE]), encoding="utf-8")
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=[*SWITCHES.split(), "--disable-gpu"]
        )
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in files}
        for _ in range(RUNS):
            for name, file in files.items():
                runs[name].append(measure(browser, file, interactive=name == "viewer"))
                print(name, runs[name][-1])
        result = {
            "command": "python benchmarks/viewer.py",
            "browser": f"Chromium {browser.version}, headless",
            "conversations": CONVERSATIONS,
            "turns": sum(len(turns) for chunk in held.chunks for turns in chunk["conversations"]),
            "runs": RUNS,
            **{name: summary(taken, files[name]) for name, taken in runs.items()},
        }
        browser.close()
    print(json.dumps(result, indent=2))
    RESULT.write_text(json.dumps(result, indent=2) + "\n")


def summary(runs: list[dict[str, float]], file: Path) -> dict[str, float]:
    """Medians, and the slowest opening."""
    medians = {f"{name}_milliseconds": round(statistics.median(run[name] for run in runs)) for name in runs[0]}
    elements = medians.pop("elements_milliseconds")
    slowest = round(max(run["opened"] for run in runs))
    return {
        **medians,
        "slowest_milliseconds": slowest,
        "elements": elements,
        "megabytes": round(file.stat().st_size / 1e6, 1),
    }


if __name__ == "__main__":
    main()
