"""The whole job on real problems instead of the embedded ones: one-step word problems (MAWPS), then GSM8K.

    python benchmarks/real_problems.py DIRECTORY

DIRECTORY holds `mawps_singleop.jsonl`, `mawps_addsub.jsonl` (columns `input`, `target`), `gsm8k_train.jsonl` and
`gsm8k_test.jsonl` (columns `question`, `answer`). Written to `benchmarks/real_problems.json`. The 135M model is small
for either; this shows what comes out, good or bad, and at what cost.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from default_run import run_once

RESULT = Path(__file__).with_suffix(".json")


def settings(directory: Path) -> dict[str, dict[str, Any]]:
    """Parameters of each run, where they differ from the default."""
    mawps = {"source": "file", "problem_column": "input", "answer_column": "target", "verifier": "math", "limit": 64}
    gsm8k = {"source": "file", "answer_pattern": r"####\s*(.+)", "problem_column": "question", "verifier": "math"}
    return {
        "mawps": {
            "problems": {
                "train": {**mawps, "path": str(directory / "mawps_singleop.jsonl")},
                "evaluation": {**mawps, "path": str(directory / "mawps_addsub.jsonl")},
            },
            "protocol": {"max_turns": 3},
            "rollout": {"max_new_tokens": 48},
            "evaluation": {"max_new_tokens": 48},
            "training": {"steps": 32},
        },
        "gsm8k": {
            "problems": {
                "train": {**gsm8k, "path": str(directory / "gsm8k_train.jsonl"), "limit": 16},
                "evaluation": {**gsm8k, "path": str(directory / "gsm8k_test.jsonl"), "limit": 32},
            },
            "protocol": {"max_turns": 2},
            "rollout": {"n": 4, "max_new_tokens": 128},
            "evaluation": {"max_new_tokens": 128},
            "training": {"steps": 4},
            "weighting": {"unsolved": "keep"},
        },
    }


def main() -> None:
    """Runs both and writes the result after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    results = {}
    for name, parameters in settings(parser.parse_args().directory.resolve()).items():
        results[name] = {"parameters": parameters, **run_once(0, parameters)}
        reference, trained = (results[name][policy]["multi_at_k"] for policy in ("reference", "trained"))
        print(f"{name}: multi@k {reference} → {trained} in {results[name]['seconds']} s", flush=True)
        text = json.dumps({"command": "python benchmarks/real_problems.py DIRECTORY", "runs": results}, indent=2)
        RESULT.write_text(text.replace(str(parser.parse_args().directory.resolve()), "DIRECTORY") + "\n")


if __name__ == "__main__":
    main()
