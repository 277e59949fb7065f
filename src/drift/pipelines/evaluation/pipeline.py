"""load_eval_problems → evaluate_policies → score."""

from kedro.pipeline import Pipeline, node, pipeline

from drift.pipelines.evaluation.nodes import (
    draw_answers,
    draw_correction_rate,
    draw_multi_at_k,
    evaluate_policies,
    load_eval_problems,
    score,
    show_conversations,
    write_model_card,
    write_report,
)


def create_pipeline() -> Pipeline:
    """Stage 4."""
    return pipeline(
        [
            node(
                load_eval_problems,
                inputs=[
                    "train_problems",
                    "params:problems",
                    "params:protocol",
                    "params:evaluation",
                    "params:model",
                    "reference_model",
                    "params:seed",
                ],
                outputs="eval_problems",
                name="load_eval_problems_node",
            ),
            node(
                evaluate_policies,
                inputs=[
                    "eval_problems",
                    "reference_model",
                    "checkpoint",
                    "params:model",
                    "params:protocol",
                    "params:rollout",
                    "params:evaluation",
                    "params:seed",
                    "params:working_directory",
                ],
                outputs=["eval_trajectories", "eval_attempts"],
                name="evaluate_policies_node",
            ),
            node(
                score,
                inputs=[
                    "eval_trajectories",
                    "eval_attempts",
                    "eval_problems",
                    "params:protocol",
                    "params:evaluation",
                    "params:seed",
                ],
                outputs="multi_at_k",
                name="score_node",
            ),
            node(
                draw_multi_at_k,
                inputs="multi_at_k",
                outputs="multi_at_k_chart",
                name="draw_multi_at_k_node",
            ),
            node(
                draw_correction_rate,
                inputs="multi_at_k",
                outputs="correction_rate_chart",
                name="draw_correction_rate_node",
            ),
            node(
                draw_answers,
                inputs="multi_at_k",
                outputs="answers_chart",
                name="draw_answers_node",
            ),
            node(
                write_report,
                inputs=[
                    "multi_at_k",
                    "eval_trajectories",
                    "eval_attempts",
                    "checkpoint",
                    "training_log",
                    "train_problems",
                    "parameters",
                ],
                outputs="evaluation_report",
                name="write_report_node",
            ),
            node(
                write_model_card,
                inputs=["checkpoint", "multi_at_k"],
                outputs="model_card",
                name="write_model_card_node",
            ),
            node(
                show_conversations,
                inputs=[
                    "eval_trajectories",
                    "eval_problems",
                    "reference_model",
                    "params:model",
                    "params:weighting",
                ],
                outputs="conversation_viewer",
                name="show_conversations_node",
            ),
        ]
    )
