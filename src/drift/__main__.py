"""`python -m drift` and the `drift` command: `kedro run` for the installed package."""

from pathlib import Path
from typing import Any

from kedro.framework.project import configure_project


def main(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
    """Runs the project with `kedro run`'s options."""
    configure_project(Path(__file__).parent.name)
    from kedro.framework.cli.project import run

    return run(*args, **kwargs)


if __name__ == "__main__":
    main()
