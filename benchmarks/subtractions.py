"""Writes the second kind of problem of the study: differences of two numbers, as files of one's own.

    python benchmarks/subtractions.py data/01_raw

`subtractions_train.jsonl` and `subtractions_held_out.jsonl` share no problem; `conf/study-subtractions` reads them.
"""

import argparse
import json
from pathlib import Path
from random import Random

SMALLEST, LARGEST = 2, 30
NUM_TRAIN, NUM_HELD_OUT = 96, 256


def main() -> None:
    """Writes both files; they are the same every time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    pairs = [(a, b) for a in range(SMALLEST + 1, LARGEST + 1) for b in range(SMALLEST, a)]
    Random("subtractions").shuffle(pairs)
    parts = {"train": pairs[:NUM_TRAIN], "held_out": pairs[NUM_TRAIN : NUM_TRAIN + NUM_HELD_OUT]}
    for part, of_part in parts.items():
        rows = [json.dumps({"problem": f"What is {a} - {b}?", "answer": str(a - b)}) for a, b in of_part]
        (directory / f"subtractions_{part}.jsonl").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
