"""Puts the figures of benchmarks/default_run.json into README.md, between their two marks.

python docs/figures.py
"""

import json
import re
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
README, RESULT = PROJECT / "README.md", PROJECT / "benchmarks" / "default_run.json"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


def figures(facts: dict[str, Any]) -> str:
    """A table with a row for each run, and the correction rate over all of them."""
    lines = [
        "| processor, seed | multi@5 before | after | difference, points | minutes from nothing |",
        "|---|---|---|---|---|",
        *(row(run) for run in facts["runs"]),
    ]
    pooled = facts["pooled_correction"]
    low, high = (100 * end for end in pooled["ci95"])
    lines += [
        "",
        f"Correction rate over these {pooled['runs']} runs: {100 * pooled['reference']:.1f} → "
        f"{100 * pooled['trained']:.1f} %, a difference of {100 * pooled['difference']:+.1f} points "
        f"[{low:+.1f}, {high:+.1f}] ({pooled['first_mistakes']['reference']} and "
        f"{pooled['first_mistakes']['trained']} first mistakes).",
    ]
    return "\n".join(lines)


def row(run: dict[str, Any]) -> str:
    """One run."""
    before, after = (100 * run[policy]["multi_at_k"][-1] for policy in ("reference", "trained"))
    low, high = (100 * end for end in run["difference"]["ci95"][-1])
    installing, total = run["seconds"]["installing"], run["seconds"]["from_nothing"]
    machine = run["machine"]
    formats = run["number_formats"]["sampling"]["format"]
    flags = "AMX" if "amx_bf16" in machine["flags"] else "AVX-512" if "avx512f" in machine["flags"] else "AVX2"
    limited = ", limited to AVX2" if machine.get("limited_to") else ""
    return (
        f"| {machine['cores']} cores of {machine['cpu']} ({flags}{limited}), {formats}, seed {run['seed']} "
        f"| {before:.1f} % | {after:.1f} % | {after - before:+.1f} [{low:+.1f}, {high:+.1f}] "
        f"| {total / 60:.1f}, of which {installing / 60:.1f} installing |"
    )


def with_figures(readme: str, facts: dict[str, Any]) -> str:
    """The page with these figures."""
    return re.sub(f"{BEGIN}.*?{END}", lambda _: f"{BEGIN}\n{figures(facts)}\n{END}", readme, flags=re.DOTALL)


if __name__ == "__main__":
    README.write_text(with_figures(README.read_text(), json.loads(RESULT.read_text())))
