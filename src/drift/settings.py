"""Project settings, read by Kedro."""

from drift.config_loader import ConfigLoader
from drift.hooks import ProjectHooks
from drift.runs.hooks import RunRecordHooks

HOOKS = (ProjectHooks(), RunRecordHooks())

# Nothing about a user's project leaves the machine.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry",)

CONFIG_LOADER_CLASS = ConfigLoader

# Environments hold only what differs from `base`, also inside a key.
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft"},
}
