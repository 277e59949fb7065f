"""Kedro's `run`, which refuses names that do not exist with one sentence before anything else happens."""

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.project import pipelines

from drift.errors import UserError
from drift.names import refuse_unknown_names

_NAMED = ("pipeline", "pipelines", "node_names", "from_nodes", "to_nodes", "from_inputs", "to_outputs", "load_versions")


class _Run(click.Command):
    """Kedro's command with a look at its options before."""

    def invoke(self, ctx: click.Context) -> object:
        """Checks the names, then does what Kedro does.

        Raises:
            ClickException: naming what does not exist.
        """
        if any(ctx.params.get(option) for option in _NAMED):
            try:
                refuse_unknown_names(ctx.params, dict(pipelines))
            except UserError as error:
                raise click.ClickException(str(error)) from error
        return super().invoke(ctx)


run = _Run(name="run", callback=kedro_run.callback, params=kedro_run.params, help=kedro_run.help)
