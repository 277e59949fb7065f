"""The scores in words: a table for the terminal, and all numbers as Markdown, with 95 % intervals."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from drift.evaluation.numbers_in_words import (
    gain_text,
    mean_text,
    more_tokens_text,
    p_text,
    points_text,
    share_text,
    tokens_text,
)
from drift.evaluation.outcomes import policy_names
from drift.evaluation.overview import AVERAGE_NAMES, all_policies, budget, columns_of, overview_rows, overview_table

if TYPE_CHECKING:
    from rich.console import Group, RenderableType

NOTES = (
    "[95 % intervals]; differences of shares are in points.",
    "Correction rate: of the problems wrong at turn 1, the share solved later.",
)
P_NOTE = "p: McNemar's exact test of multi@k, bootstrap of rates, permutations else; uncorrected for their number."
_WIDTH_WITH_P = 92

Text = Callable[[float | None, Sequence[float | None]], str]


class Row(NamedTuple):
    """A metric in the table of details.

    Attributes:
        label: its name.
        metric: its key in the scores.
        value: how it is written.
        difference: how its difference is written.
    """

    label: str
    metric: str
    value: Text
    difference: Text


ROWS = (
    Row("correction rate", "correction_rate_overall", share_text, points_text),
    Row("distinct answers", "distinct_answers", mean_text, gain_text),
    Row("distinct, failed", "distinct_answers_failed", mean_text, gain_text),
    Row("repeated answers", "repeated_answer_rate", share_text, points_text),
    Row("lost the format", "format_loss_rate", share_text, points_text),
    Row("tokens a problem", "response_tokens", tokens_text, more_tokens_text),
    Row("tokens a solved", "response_tokens_per_solved", tokens_text, more_tokens_text),
    Row("cut responses", "cut_share", share_text, points_text),
)


def summary_table(scores: Mapping[str, Any], width: int = 80) -> "Group":
    """The scores for the terminal: all numbers of one benchmark, or the policies by benchmarks and averages.

    Args:
        scores: what `drift.evaluation.score.score` returned.
        width: of the terminal, in characters; 80 are enough.
    """
    from rich.console import Group
    from rich.text import Text

    first = next(iter(scores["benchmarks"].values()))
    has_details = len(scores["benchmarks"]) == 1 and len(policy_names(first)) <= 2
    table = details_table(scores, width) if has_details else overview_table(scores, width)
    p_values = p_sentences(scores) if has_details and width < _WIDTH_WITH_P else p_note(scores)
    notes = [NOTES[0], *([NOTES[1]] if has_details or width >= 112 else []), *p_values]
    return Group(
        table, Text("\n".join([*notes, *control_sentences(scores), *chance_sentences(scores)]), style="italic")
    )


def details_table(scores: Mapping[str, Any], width: int) -> "RenderableType":
    """Every number of every benchmark, policies side by side; two and their difference fit into 80 columns."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    has_p = width >= _WIDTH_WITH_P
    keep = [index for index, name in enumerate(header(scores)) if has_p or name != "p"]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for index in keep:
        is_label = index == 0
        table.add_column(
            Text(header(scores)[index]),
            justify="left" if is_label else "right",
            no_wrap=not is_label,
            overflow="fold",
            max_width=16 if is_label else None,
        )
    for title, *rows in sections(scores):
        table.add_row(*(Text(title[index]) for index in keep), style="bold")
        for row in rows:
            table.add_row(*(Text(row[index]) for index in keep), end_section=row is rows[-1])
    return table


def summary_markdown(scores: Mapping[str, Any]) -> str:
    """The scores as Markdown: the policies by benchmarks where there are several, then every number, then the notes.

    Args:
        scores: what `drift.evaluation.score.score` returned.
    """
    lines = [[escaped(name) for name in header(scores)], [":---", *["---:"] * (len(header(scores)) - 1)]]
    for title, *rows in sections(scores):
        lines += [[f"**{escaped(title[0])}**", *title[1:]], *rows]
    notes = [*NOTES, *p_note(scores), *control_sentences(scores), *chance_sentences(scores)]
    overview = [overview_markdown(scores)] if len(scores["benchmarks"]) > 1 else []
    return "\n\n".join([*overview, markdown_table(lines), " ".join(map(escaped, notes))]) + "\n"


def overview_markdown(scores: Mapping[str, Any]) -> str:
    """multi@K of the policies by benchmarks and averages."""
    names = [f"multi@{budget(scores)} (%)", *(column.name for column in columns_of(scores))]
    lines = [[escaped(name) for name in names], [":---", *["---:"] * (len(names) - 1)]]
    for (policy, kind), *cells in overview_rows(scores):
        label = f"{policy}, {kind}" if kind else policy
        lines.append([escaped(label), *(" ".join(filter(None, cell)) for cell in cells)])
    return markdown_table(lines)


def markdown_table(lines: Sequence[Sequence[str]]) -> str:
    """Rows of finished cells as a table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, inside a table as well."""
    one_line = " ".join(text.split())
    for character in "\\|`*_<>[]#&":
        is_needed = (character != "[" and character != "]") or "](" in one_line
        one_line = one_line.replace(character, f"\\{character}") if is_needed else one_line
    return one_line


def header(scores: Mapping[str, Any]) -> list[str]:
    """Names of the columns: none for the labels, then the policies, then difference and p of each that has them."""
    first = next(iter(scores["benchmarks"].values()))
    compared = list(first.get("differences", {}))
    names = ["difference"] if len(compared) == 1 else [f"{policy}, difference" for policy in compared]
    return ["", *policy_names(first), *(text for name in names for text in (name, "p"))]


def sections(scores: Mapping[str, Any]) -> list[list[list[str]]]:
    """Blocks of rows, each with its title first: the benchmarks, then their averages if there are several."""
    benchmarks = scores["benchmarks"]
    blocks = [benchmark_rows(name, entry, len(header(scores))) for name, entry in benchmarks.items()]
    return [*blocks, average_rows(scores)] if len(benchmarks) > 1 else blocks


def benchmark_rows(name: str, entry: Mapping[str, Any], num_columns: int) -> list[list[str]]:
    """Title, then every metric of one benchmark, its policies beside each other."""
    size = f"{entry['problems']:,} problem{'s' if entry['problems'] > 1 else ''}"
    policies = [entry[policy] for policy in policy_names(entry)]
    differences = list(entry.get("differences", {}).values())
    rows = [[name, size, *[""] * (num_columns - 2)], *multi_at_k_rows(policies, differences)]
    for label, metric, value, difference in ROWS:
        cells = [value(policy[metric], policy[f"{metric}_ci95"]) for policy in policies]
        for entry_of_difference in differences:
            cells.append(difference(entry_of_difference[metric], entry_of_difference[f"{metric}_ci95"]))
            cells.append(p_text(entry_of_difference[f"{metric}_p_value"]))
        rows.append([label, *cells])
    return [*rows, *control_rows(policies, num_columns)]


def multi_at_k_rows(policies: Sequence[Mapping[str, Any]], differences: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """multi@1…K."""
    rows = []
    for k in range(len(policies[0]["multi_at_k"])):
        cells = [share_text(policy["multi_at_k"][k], policy["ci95"][k]) for policy in policies]
        for difference in differences:
            cells.append(points_text(difference["multi_at_k"][k], difference["ci95"][k]))
            cells.append(p_text(difference["p_value"][k]))
        rows.append([f"multi@{k + 1}", *cells])
    return rows


def control_rows(policies: Sequence[Mapping[str, Any]], num_columns: int) -> list[list[str]]:
    """pass@k of independent attempts at the last k that policies were given, where there are any."""
    controls = [policy["control"] for policy in policies]
    most = max((control["attempts"] for control in controls if control), default=0)
    cells = [
        share_text(control["pass_at_k"][-1], control["ci95"][-1]) if control and control["attempts"] == most else "-"
        for control in controls
    ]
    return [[f"pass@{most}", *cells, *[""] * (num_columns - 1 - len(cells))]] if most else []


def average_rows(scores: Mapping[str, Any]) -> list[list[str]]:
    """Title and mean multi@K of each domain that has a benchmark."""
    names, rows = header(scores), []
    for domain, average in scores["averages_with_intervals"].items():
        if average is not None:
            cells = [share_text(entry["multi_at_k"][-1], entry["ci95"][-1]) for entry in average["policies"].values()]
            for entry in average["differences"].values():
                cells += [points_text(entry["multi_at_k"][-1], entry["ci95"][-1]), p_text(entry["p_value"][-1])]
            rows.append([AVERAGE_NAMES[domain], *cells, *[""] * (len(names) - 1 - len(cells))])
    title = [f"mean multi@{budget(scores)}", f"{len(scores['benchmarks'])} benchmarks", *[""] * (len(names) - 2)]
    return [title, *rows]


def p_sentences(scores: Mapping[str, Any]) -> list[str]:
    """The p-values, where the table has no column for them."""
    (entry,) = scores["benchmarks"].values()
    if "difference" not in entry:
        return []
    difference, last = entry["difference"], budget(scores)
    p_values = {f"multi@{k}": difference["p_value"][k - 1] for k in sorted({1, last})}
    p_values |= {row.label: difference[f"{row.metric}_p_value"] for row in ROWS[:2]}
    texts = [f"{name} {p_text(p)}" for name, p in p_values.items() if p is not None]
    return [f"p of the differences (McNemar, permutations, bootstrap of rates; uncorrected): {', '.join(texts)}."]


def p_note(scores: Mapping[str, Any]) -> list[str]:
    """What the column of p-values holds, where there is one; several small ones among many may be chance."""
    return [P_NOTE] if "p" in header(scores) else []


def control_sentences(scores: Mapping[str, Any]) -> list[str]:
    """What talking gains over retrying after turn 1 for the same number of tokens, one sentence for each policy."""
    sentences = []
    for policy in all_policies(scores):
        gains = {
            name: control_text(entry[policy]["control"])
            for name, entry in scores["benchmarks"].items()
            if policy in entry and entry[policy]["control"]
        }
        if gains:
            texts = "; ".join(f"{name} {gain}" for name, gain in gains.items())
            sentences.append(f"Talking instead of retrying for as many tokens, {policy}: {texts}.")
    return sentences


def control_text(control: Mapping[str, Any]) -> str:
    """What a conversation gains over as many tokens of independent attempts."""
    equal = control["at_equal_tokens"]
    if equal["attempts"] is None:
        return f"not known, turn 1 and {control['attempts']} attempts cost less"
    gain = points_text(equal["difference"], equal["ci95"])
    return f"{gain} points (retrying {100 * equal['pass_at_k']:.1f} % with {equal['attempts']:.1f} attempts)"


def chance_sentences(scores: Mapping[str, Any]) -> list[str]:
    """What guessing reaches at multi@K on multiple-choice benchmarks."""
    texts = [
        f"{name} {100 * chance['with_repetition'][-1]:.1f} % ({100 * chance['without_repetition'][-1]:.1f} %)"
        for name, entry in scores["benchmarks"].items()
        if (chance := entry["chance"]) is not None
    ]
    return [f"Guessing (without repeating a guess), multi@{budget(scores)}: {'; '.join(texts)}."] if texts else []
