"""The project's own commands: Kedro looks here first.

`run` is imported when it is given, as Kedro's own commands are.
"""

from kedro.framework.cli.utils import LazyGroup

cli = LazyGroup(name="drift", lazy_subcommands={"run": "drift.run_command.run"})
