from pathlib import Path

import pytest

from drift.errors import UserError
from drift.names import refuse_unknown_environment, refuse_unknown_names
from drift.pipeline_registry import register_pipelines

PIPELINES = register_pipelines()
CONFIGURATION = Path(__file__).resolve().parents[2] / "conf"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"pipelines": ["trianing"]}, r"--pipelines: there is no pipeline 'trianing'; did you mean training\? There"),
        ({"pipeline": "trianing"}, r"--pipeline: there is no pipeline 'trianing'; did you mean training\? There are: "),
        ({"node_names": ["score"]}, r"--nodes: there is no node 'score'; did you mean score_node\? There are: "),
        ({"node_names": ["score_node", "scoer_node"]}, r"--nodes: there is no node 'scoer_node'; did you mean score_n"),
        (
            {"pipelines": ["rollout"], "from_nodes": ["score_node"]},
            r"--from-nodes: there is no node 'score_node' in rollout\. There are: prepare_reference_model_node, ",
        ),
        ({"to_nodes": ["xyz"]}, r"--to-nodes: there is no node 'xyz'\. There are: "),
        ({"to_outputs": ["chekpoint"]}, r"--to-outputs: there is no dataset 'chekpoint'; did you mean checkpoint\? "),
        ({"from_inputs": ["params:seed2"]}, r"--from-inputs: there is no dataset 'params:seed2'; did you mean params:"),
        (
            {"load_versions": {"weights": "2026"}},
            r"--load-versions: there is no dataset 'weights'; did you mean weigh",
        ),
    ],
)
def test_a_name_that_does_not_exist_is_named_with_the_nearest_and_all_there_are(given, said):
    with pytest.raises(UserError, match=said):
        refuse_unknown_names(given, PIPELINES)


def test_names_that_exist_pass():
    refuse_unknown_names({}, PIPELINES)
    refuse_unknown_names(
        {
            "pipelines": ["weighting", "training"],
            "node_names": ["train_policy_node"],
            "from_nodes": ["shape_returns_node"],
            "from_inputs": ["params:weighting", "trajectories"],
            "to_outputs": ["checkpoint"],
            "load_versions": {"trajectories": "2026-01-01T00.00.00.000Z"},
        },
        PIPELINES,
    )
    refuse_unknown_environment(CONFIGURATION, "test")
    refuse_unknown_environment(CONFIGURATION, None)


def test_an_environment_that_does_not_exist_is_named():
    with pytest.raises(UserError, match=r"--env: there is no environment 'tset'; did you mean test\? There are: base"):
        refuse_unknown_environment(CONFIGURATION, "tset")
