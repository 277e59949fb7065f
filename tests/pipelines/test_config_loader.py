"""`problems.evaluation` may be one source or a list, in any layer of the configuration."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

ONE = {"source": "arithmetic", "limit": 128}
SEVERAL = [{"source": "math500"}, {"source": "gsm8k", "limit": 200}]


@pytest.fixture
def evaluation_of(project_path: Path):
    """What Kedro makes of `problems.evaluation` in a base, an environment and runtime parameters."""

    def load(base: Any, environment: Any = None, given: Any = None) -> Any:
        for name, value in (("base", base), ("trial", environment)):
            directory = project_path / "conf" / name
            directory.mkdir(exist_ok=True)
            file = directory / "parameters.yml"
            parameters = yaml.safe_load(file.read_text()) if file.exists() else {}
            if value is not None:
                parameters.setdefault("problems", {})["evaluation"] = value
            file.write_text(yaml.safe_dump(parameters))
        bootstrap_project(project_path)
        runtime = None if given is None else {"problems": {"evaluation": given}}
        try:
            with KedroSession.create(project_path=project_path, env="trial", runtime_params=runtime) as session:
                return session.load_context().config_loader["parameters"]["problems"]["evaluation"]
        finally:
            shutil.rmtree(project_path / "conf/trial")

    return load


@pytest.mark.parametrize(
    ("base", "environment", "given", "expected"),
    [
        (ONE, None, None, ONE),
        (ONE, {"limit": 4}, None, {"source": "arithmetic", "limit": 4}),
        (ONE, SEVERAL, None, SEVERAL),
        (ONE, None, SEVERAL, SEVERAL),
        (SEVERAL, [{"source": "mmlu"}], None, [{"source": "mmlu"}]),
        (SEVERAL, ONE, None, ONE),
        (SEVERAL, None, ONE, ONE),
        (SEVERAL, {"limit": 3}, None, [{"source": "math500", "limit": 3}, {"source": "gsm8k", "limit": 3}]),
        (ONE, SEVERAL, {"limit": 3}, [{"source": "math500", "limit": 3}, {"source": "gsm8k", "limit": 3}]),
        (ONE, {"limit": 4}, SEVERAL, SEVERAL),
        (SEVERAL, {"limit": 4}, {"limit": 5}, [{"source": "math500", "limit": 5}, {"source": "gsm8k", "limit": 5}]),
    ],
)
def test_the_layer_on_top_decides_whether_it_is_one_or_several(evaluation_of, base, environment, given, expected):
    assert evaluation_of(base, environment, given) == expected


def test_a_value_may_refer_to_another_one_in_a_list_too(evaluation_of):
    assert evaluation_of([{"source": "math500", "limit": "${rollout.n}"}])[0]["limit"] == 4
    assert evaluation_of([{"source": "math500", "limit": "${rollout.n}"}], None, {"corrected": False})[0]["limit"] == 4
