"""The stages once for each cell of a study; what the cells of one seed share is made once."""

from collections.abc import Sequence

from kedro.pipeline import Pipeline, node, pipeline

from drift.pipelines.evaluation.pipeline import create_pipeline as evaluation
from drift.pipelines.instances import instance_of
from drift.pipelines.refresh.pipeline import rounds_of_training
from drift.pipelines.rollout.pipeline import create_pipeline as rollout
from drift.pipelines.study.nodes import (
    draw_study,
    summarize_cell,
    tabulate_study,
    train_or_keep_policy,
    write_study_report,
)
from drift.pipelines.training.pipeline import create_pipeline as training
from drift.pipelines.weighting.nodes import examples_of_solutions, summarize_solutions
from drift.study.design import Cell

_OF_SEED = ("train_problems", "eval_problems", "trajectories", "params:seed")


def create_pipeline(cells: Sequence[Cell], unfinished: Sequence[Cell]) -> Pipeline:
    """What is left of a study, and its tables.

    Args:
        cells: all cells; the tables are made of their results.
        unfinished: the cells that have to be trained and evaluated.
    """
    reference = rollout().only_nodes("prepare_reference_model_node") if unfinished else Pipeline([])
    asked = dict.fromkeys(cell.seed_namespace for cell in unfinished)
    sampled = dict.fromkeys(cell.seed_namespace for cell in unfinished if cell.data == "trajectories")
    return Pipeline(
        [reference, *map(_problems, asked), *map(_trajectories, sampled), *map(_cell, unfinished), _tables(cells)]
    )


def _problems(namespace: str) -> Pipeline:
    """What all variants of a seed are asked, in training and in evaluation."""
    train = rollout().only_nodes("load_train_problems_node")
    return instance_of(train + evaluation().only_nodes("load_eval_problems_node"), namespace, {})


def _trajectories(namespace: str) -> Pipeline:
    """What all variants of a seed are trained on, but those that are trained on solutions."""
    return instance_of(rollout().only_nodes("sample_trajectories_node"), namespace, {})


def _cell(cell: Cell) -> Pipeline:
    """Weighting and training, in as many rounds as the variant has, evaluation, and the result."""
    names = {name: _of_seed(cell, name) for name in _OF_SEED}
    names |= {"params:evaluation": f"params:{cell.study}.evaluation"}
    trained = (
        instance_of(_solutions() + training().to_outputs("checkpoint"), cell.namespace, names)
        if cell.data == "solutions"
        else rounds_of_training(cell.round_namespaces, names, train_or_keep_policy)
    )
    evaluated = evaluation().only_nodes("evaluate_policies_node", "score_node")
    return Pipeline([trained, instance_of(evaluated, cell.namespace, names), _result(cell)])


def _solutions() -> Pipeline:
    """What takes the place of weighting where solutions are trained on."""
    return Pipeline(
        [
            node(
                examples_of_solutions,
                inputs=["train_problems", "reference_model", "params:model", "params:protocol"],
                outputs="weighted_turns",
                name="examples_of_solutions_node",
            ),
            node(
                summarize_solutions,
                inputs="weighted_turns",
                outputs="weighting_summary",
                name="summarize_solutions_node",
            ),
        ]
    )


def _result(cell: Cell) -> Pipeline:
    """What the cell came to, from what all its rounds have left."""
    later = [f"{namespace}.trajectories" for namespace in cell.round_namespaces[1:]]
    sampled = [] if cell.data == "solutions" else [_of_seed(cell, "trajectories"), *later]
    logs = [f"{namespace}.training_log" for namespace in cell.round_namespaces]
    rounds = {
        f"{kind}_{number}": name
        for kind, names in (("trajectories", sampled), ("training_log", logs))
        for number, name in enumerate(names, start=1)
    }
    result = node(
        summarize_cell,
        inputs=["params:cell", "weighting_summary", "eval_trajectories", "eval_problems", "params:protocol", *rounds],
        outputs="cell",
        name="summarize_cell_node",
    )
    return instance_of(Pipeline([result]), cell.namespace, {"eval_problems": _of_seed(cell, "eval_problems"), **rounds})


def _tables(cells: Sequence[Cell]) -> Pipeline:
    """The results of all cells side by side."""
    results = {f"cell_{number}": f"{cell.namespace}.cell" for number, cell in enumerate(cells, start=1)}
    nodes = [
        node(
            tabulate_study,
            inputs=["params:study", "params:evaluation", *results],
            outputs="study_results",
            name="tabulate_study_node",
        ),
        node(draw_study, inputs="study_results", outputs="study_chart", name="draw_study_node"),
        node(write_study_report, inputs="study_results", outputs="study_report", name="write_study_report_node"),
    ]
    outputs = {"study_results", "study_chart", "study_report"}
    parameters = {name: name for name in ("params:study", "params:evaluation")}
    return pipeline(nodes, namespace=cells[0].study, inputs=results, outputs=outputs, parameters=parameters)


def _of_seed(cell: Cell, name: str) -> str:
    """A dataset or parameter that all variants of a cell's seed share."""
    parameter = name.removeprefix("params:")
    return f"{'params:' if parameter != name else ''}{cell.seed_namespace}.{parameter}"
