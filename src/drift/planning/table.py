"""The plan as a person reads it: names and sentences, a row each."""

from collections.abc import Mapping
from typing import Any

_MINUTES_BELOW_HOURS = 1.0
_SECONDS_BELOW_HOURS = 1 / 60
_FEWEST_IN_MILLIONS = 1e6


def plan_rows(plan: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The numbers of a plan.

    Args:
        plan: from `drift.planning.plan.plan`.
    """
    model, gpu, hours = plan["model"], plan["gpu"], plan["hours"]
    return [
        ("model", f"{model['path']}: {model['weights']:,} weights, {model['weights_gib']:.1f} GiB as they are stored"),
        ("for", f"{gpu['count']} x {gpu['name']} ({gpu['memory_gib']:.1f} GiB), {gpu['from']}"),
        *_sampling_rows(plan["sampling"]),
        *_training_rows(plan["training"], gpu),
        *_evaluation_rows(plan["evaluation"]),
        ("disk, at most", _disk(plan["disk"]) + ", besides the reference policy"),
        ("whole job", _range(hours) + _gpu_hours(hours["gpu_hours"])),
        ("another variant", f"{time_text(hours['another_variant'])} (trained on the same trajectories, and evaluated)"),
        *_rows_of_many_runs(plan["study"], plan["refresh"]),
    ]


def _sampling_rows(sampling: Mapping[str, Any]) -> list[tuple[str, str]]:
    at_once, cache = sampling["conversations_at_once"], sampling["cache_mib_a_conversation"]
    spread = sampling["gpus_a_copy"]
    return [
        ("sampling", f"{sampling['trajectories']:,} trajectories of {sampling['problems']:,} problems"),
        ("", f"{_millions(sampling['sampled_tokens'])} tokens sampled"),
        (
            "",
            f"{sampling['conversation_tokens']['expected']:,.0f} tokens a conversation, at most "
            f"{sampling['conversation_tokens']['most']:,.0f}: {cache['expected']:,.0f} MiB of cache, at most "
            f"{cache['most']:,.0f}",
        ),
        (
            "",
            f"{sampling['copies']} cop{'y' if sampling['copies'] == 1 else 'ies'} of the model"
            + (f" on {spread} GPUs each" if spread > 1 else "")
            + f", {sampling['cache_gib_a_copy']:.1f} GiB of cache in each: {at_once['expected']:,} conversations at "
            f"once, at least {at_once['least']:,}",
        ),
        ("", _range(sampling["hours"])),
    ]


def _training_rows(training: Mapping[str, Any], gpu: Mapping[str, Any]) -> list[tuple[str, str]]:
    passes, processes = training["passes_over_the_data"], training["processes"]
    again = "layers computed again" if training["recomputed"] else "without recomputation"
    return [
        (
            "training",
            f"{training['steps']:,} steps, {training['examples']:,} examples"
            + ("" if passes is None else f" ({passes:.2f} passes over the data)"),
        ),
        ("", f"{_millions(training['tokens'])} tokens, contexts included"),
        (
            "",
            f"{processes} process{'' if processes == 1 else 'es'}; of a GPU's {gpu['memory_gib']:.1f} GiB, at most "
            f"{training['memory_gib_recomputed']:.1f} with layers computed again and {training['memory_gib']:.1f} "
            f"without; {training['state_gib']:.1f} of them weights, gradients and moments, packs of "
            f"{training['pack_tokens']:,.0f} tokens",
        ),
        ("", f"{_range(training['hours'])}, {again}"),
    ]


def _evaluation_rows(evaluation: Mapping[str, Any]) -> list[tuple[str, str]]:
    problems = evaluation["problems"]
    named = ", ".join(f"{name} {count:,}" for name, count in problems.items())
    return [
        ("evaluation", f"{evaluation['policies']} policies, {sum(problems.values()):,} problems ({named})"),
        ("", f"{_millions(evaluation['sampled_tokens'])} tokens sampled"),
        ("", _range(evaluation["hours"])),
    ]


def _rows_of_many_runs(study: Mapping[str, Any] | None, refresh: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """What the pipelines `study` and `refresh` would take, where they can be made."""
    rows = []
    if study is not None:
        made = ", ".join(_counted(study[f"{name}s"], name) for name in ("rollout", "training", "evaluation"))
        seeds = "a seed" if study["seeds"] == 1 else f"{study['seeds']} seeds"
        rows += [
            (f"study {study['name']}", f"{_counted(study['results'], 'result')} with {seeds}: {made}"),
            ("", f"{_range(study['hours'])}; {study['disk_gib']:,.1f} GiB of disk"),
        ]
    if refresh is not None:
        rows.append(
            (
                "refresh",
                f"{_counted(refresh['rounds'], 'round')}: {_range(refresh['hours'])}; {refresh['disk_gib']:,.1f} GiB",
            )
        )
    return rows


def _counted(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _disk(disk: Mapping[str, float]) -> str:
    parts = ("states", "checkpoint", "trajectories", "conversations")
    named = ", ".join(f"{name} {disk[name + '_gib']:.1f}" for name in parts)
    return f"{disk['total_gib']:.1f} GiB ({named})"


def _gpu_hours(hours: float | None) -> str:
    return "" if hours is None else f"; {hours:.1f} hours of one GPU"


def _millions(tokens: Mapping[str, float]) -> str:
    if tokens["most"] < _FEWEST_IN_MILLIONS:
        return f"{tokens['expected']:,.0f}, at most {tokens['most']:,.0f}"
    return f"{tokens['expected'] / 1e6:,.2f} million, at most {tokens['most'] / 1e6:,.2f} million"


def _range(hours: Mapping[str, float | None]) -> str:
    if hours["expected"] is None:
        return "does not fit"
    return f"{time_text(hours['expected'])}, at most {time_text(hours['most'])}"


def time_text(hours: float | None) -> str:
    """Seconds below a minute, minutes below an hour, else hours."""
    if hours is None:
        return "does not fit"
    if hours < _SECONDS_BELOW_HOURS:
        return f"{3600 * hours:.0f} s"
    return f"{60 * hours:.0f} min" if hours < _MINUTES_BELOW_HOURS else f"{hours:.1f} h"
