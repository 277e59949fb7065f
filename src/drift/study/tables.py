"""The tables of a study, as the paper numbers them. A table for which a study has no data is not there.

`table_formats` writes them down as Markdown, LaTeX, and for a terminal.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from drift.evaluation.numbers_in_words import UNDEFINED, mean_text, share_text
from drift.evaluation.outcomes import REFERENCE
from drift.study.places import (
    PARAMETERS,
    Place,
    at,
    compared_with,
    difference_at,
    label_of,
    missing_seeds,
    num_rounds,
    places,
    plain_policies,
    policies_at,
    value_text,
)
from drift.study.spent import spent
from drift.study.sweeps import alike_but
from drift.study.table import (
    EMPTY,
    Row,
    StudyTable,
    TableCell,
    at_turn,
    gain_at_turn,
    mean_cell,
    number,
    seeds_cell,
    share,
)


def study_tables(results: Mapping[str, Any]) -> dict[str, StudyTable]:
    """The tables by name, those that the study has data for.

    Args:
        results: what `drift.study.results.study_results` returned.
    """
    k = results["max_turns"]
    tables = {
        "policies": policies_table(results),
        "turns": turns_table(results, "multi_at_k", 1, f"multi@k, k = 1…{k} (%)", "Figures 3 and 5"),
        "correction_by_turn": turns_table(
            results, "correction_rate", 2, "Correction rate of each turn: of the problems still wrong (%)", "Figure 5"
        ),
        "penalty": answers_table(results),
        **{f"sweep_{parameter}": sweep_table(results, parameter) for parameter in results["sweeps"]},
        "composition": composition_table(results),
        "costs": costs_table(results),
    }
    return {name: table for name, table in tables.items() if table is not None}


def policies_table(results: Mapping[str, Any]) -> StudyTable:
    """Table 1: multi@K of the policies on benchmarks and averages, then their differences."""
    columns = places(results)
    rows = [
        Row(
            policy,
            [
                seeds_cell(results["policies"][policy]),
                *(at_turn(at(results["policies"][policy], place), -1) for place in columns),
            ],
        )
        for policy in plain_policies(results)
    ]
    for before in compared_with(results):
        of_others = [policy for policy in plain_policies(results) if policy not in (before, REFERENCE)]
        lines = [(policy, [difference_at(results, before, policy, place) for place in columns]) for policy in of_others]
        shown = [(policy, entries) for policy, entries in lines if any(entries)]
        rows += [Row(f"difference from {before}, in points")] if shown else []
        rows += [Row(policy, [EMPTY, *(gain_at_turn(entry, -1) for entry in entries)]) for policy, entries in shown]
    header = ["seeds", *(f"{place.label} ({place.size})" for place in columns)]
    return StudyTable(f"multi@{results['max_turns']} (%)", header, rows, "Table 1")


def turns_table(results: Mapping[str, Any], metric: str, first: int, title: str, paper: str) -> StudyTable | None:
    """A metric turn by turn, on every benchmark and average; None where there is but one turn."""
    turns = range(first, results["max_turns"] + 1)
    if results["max_turns"] < 2:
        return None

    def rows_at(place: Place) -> list[Row]:
        entries = policies_at(results, place).items()
        return [
            Row(label_of(results, policy), [share(entry[metric], turn - 1) for turn in turns])
            for policy, entry in entries
        ]

    return StudyTable(title, [f"turn {turn}" for turn in turns], list(in_sections(results, rows_at)), paper)


def answers_table(results: Mapping[str, Any]) -> StudyTable | None:
    """Tables 6 and 7: what the penalty does to accuracy, correction and distinct answers."""
    points = alike_but("penalty", results["policies"])
    if len(points) < 2:
        return None

    def rows_at(place: Place) -> list[Row]:
        entries = [(value, policy, at(results["policies"][policy], place)) for value, policy in points]
        return [
            Row(f"penalty = {value_text(value)}{missing_seeds(results, policy)}", answer_cells(entry))
            for value, policy, entry in entries
            if entry is not None
        ]

    k = results["max_turns"]
    header = ["multi@1 (%)", f"multi@{k} (%)", "correction rate (%)", "distinct answers", "distinct, failed"]
    title = "The penalty: accuracy, correction rate, and distinct answers of a problem"
    return StudyTable(title, header, list(in_sections(results, rows_at)), "Tables 6 and 7")


def answer_cells(entry: Mapping[str, Any]) -> list[TableCell]:
    """Accuracy, correction rate and distinct answers."""
    return [
        *result_cells(entry),
        *(number(mean_text, entry[metric]) for metric in ("distinct_answers", "distinct_answers_failed")),
    ]


def sweep_table(results: Mapping[str, Any], parameter: str) -> StudyTable | None:
    """A sweep: results beside what the weights are made of; None with fewer than two points."""
    points = results["sweeps"][parameter]
    if len(points) < 2:
        return None

    baseline = results["baseline"]

    def cells(policy: str, place: Place) -> list[TableCell]:
        entry = results["policies"][policy]
        gain = [gain_at_turn(difference_at(results, baseline, policy, place), -1)] if baseline else []
        return [*result_cells(entry[place.kind][place.key]), *gain, *composition_cells(entry["composition"])]

    def rows_at(place: Place) -> list[Row]:
        return [
            Row(f"{value_text(point['value'])}{missing_seeds(results, point['policy'])}", cells(point["policy"], place))
            for point in points
            if at(results["policies"][point["policy"]], place) is not None
        ]

    k = results["max_turns"]
    gain = [f"multi@{k} minus {baseline} (points)"] if baseline else []
    header = ["multi@1 (%)", f"multi@{k} (%)", "correction rate (%)", *gain, *COMPOSITION_HEADER]
    title = f"Sweep of {PARAMETERS.get(parameter, parameter)}"
    return StudyTable(title, header, list(in_sections(results, rows_at)), SWEEPS_IN_PAPER.get(parameter, ""))


SWEEPS_IN_PAPER = {"gamma": "Figure 7", "beta": "Figure 8", "n": "Table 8 and Figure 9", "penalty": "Tables 6 and 7"}
"""What the paper calls a sweep."""
COMPOSITION_HEADER = ("examples", "effective sample size", "pruned mass (%)", "all right", "mixed", "all wrong")
"""Names of `composition_cells`."""


def composition_table(results: Mapping[str, Any]) -> StudyTable:
    """What each variant was trained on."""
    rows = [
        Row(
            f"{policy}{', last round' if num_rounds(results, policy) > 1 else ''}",
            composition_cells(results["policies"][policy]["composition"]),
        )
        for policy in plain_policies(results)
        if policy != REFERENCE
    ]
    title = "What the variants were trained on: examples, and problems by how many trajectories were right"
    return StudyTable(title, COMPOSITION_HEADER, rows)


def composition_cells(composition: Mapping[str, Any]) -> list[TableCell]:
    """Examples, their effective number, the pruned share of the weight, and the problems by outcome; seeds' means."""
    counts = ("num_examples", "effective_sample_size", "all_right", "mixed", "all_wrong")
    texts = {name: count_text(composition[name]) for name in counts}
    pruned = composition["pruned_mass"]
    mass = UNDEFINED if pruned is None else f"{100 * pruned['value']:.2g}"
    ordered = (
        texts["num_examples"],
        texts["effective_sample_size"],
        mass,
        texts["all_right"],
        texts["mixed"],
        texts["all_wrong"],
    )
    return [(text, "") for text in ordered]


def costs_table(results: Mapping[str, Any]) -> StudyTable:
    """What each variant took: Figure 6 where the study sweeps turns, and what Table 8 cost where it sweeps N."""
    of_sweeps = {point["policy"] for name in ("max_turns", "n") for point in results["sweeps"].get(name, [])}
    rows = [
        Row(
            f"{cost.name}{', reckoned' if cost.is_reckoned else ''}",
            [
                (UNDEFINED if cost.num_trajectories is None else str(cost.num_trajectories), ""),
                (UNDEFINED if cost.num_trajectories is None else str(cost.num_turns), ""),
                *map(mean_cell, (cost.sampling, cost.training, cost.total, cost.evaluation)),
                *((count_text(tokens), "") for tokens in (cost.tokens_sampled, cost.tokens_trained)),
            ],
        )
        for cost in spent(results)
        if cost.policy in {*plain_policies(results), *of_sweeps}
    ]
    header = (
        "N",
        "turns",
        "sampling",
        "training",
        "sampling + training",
        "evaluation",
        "tokens sampled",
        "tokens trained",
    )
    title = (
        "Seconds and tokens of a variant and seed. All share one rollout; where a part of it is used, sampling is "
        "reckoned: the engine's start, and of the rest the part's share of the trajectories and of their tokens"
    )
    return StudyTable(title, header, rows, "Figure 6")


def count_text(over_seeds: Mapping[str, Any] | None) -> str:
    """A mean number over seeds."""
    return UNDEFINED if over_seeds is None else f"{over_seeds['value']:,.0f}"


def in_sections(results: Mapping[str, Any], rows_at: Callable[[Place], Sequence[Row]]) -> Iterator[Row]:
    """The lines of every place, under its name where there are several."""
    shown = [(place, rows) for place in places(results) if (rows := rows_at(place))]
    for place, rows in shown:
        if len(shown) > 1:
            yield Row(f"{place.label}, {place.size}")
        yield from rows


def result_cells(entry: Mapping[str, Any]) -> list[TableCell]:
    """multi@1, multi@K and the correction rate over all turns."""
    return [at_turn(entry, 0), at_turn(entry, -1), number(share_text, entry["correction_rate_overall"])]
