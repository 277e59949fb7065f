"""How configuration is merged: Kedro's own way, except that `problems.evaluation` may be one source or a list.

OmegaConf refuses to merge a list with a mapping. What lies on top (another environment, `--params`) decides:

| below | on top | result |
|---|---|---|
| one source | a list | the list |
| a list | a list | the list on top |
| a list | a mapping with `source` | that one source |
| a list | a mapping without (`limit: 20`) | the list, with these values in every source |
| one source | a mapping | merged, key by key |
"""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader
from omegaconf import DictConfig, OmegaConf

Parameters = dict[str, Any]


class ConfigLoader(OmegaConfigLoader):
    """Kedro's loader, with parameters whose evaluation may be a list."""

    def _merge_and_resolve(self, key: str, config_per_file: dict[Path, DictConfig]) -> dict[str, Any]:
        if key != "parameters" or not config_per_file:
            return super()._merge_and_resolve(key, config_per_file)
        given = self.runtime_params
        try:
            files = OmegaConf.unsafe_merge(*config_per_file.values())
            below, on_top = with_mergeable_evaluation(_plain(files), _plain(given or {}))
            self.runtime_params = on_top
            return super()._merge_and_resolve(key, {next(iter(config_per_file)): OmegaConf.create(below)})
        finally:
            self.runtime_params = given

    @staticmethod
    def _soft_merge(config: dict[str, Any], env_config: dict[str, Any], env_path: str | None = None) -> Any:  # noqa: ANN401
        return OmegaConfigLoader._soft_merge(*with_mergeable_evaluation(config, env_config), env_path)


def with_mergeable_evaluation(below: Parameters, on_top: Parameters) -> tuple[Parameters, Parameters]:
    """Copies of two layers of parameters whose `problems.evaluation` OmegaConf merges as the table above says."""
    below, on_top = deepcopy(below), deepcopy(on_top)
    lower, upper = _evaluation(below), _evaluation(on_top)
    if isinstance(lower, list) and isinstance(upper, Mapping) and "source" not in upper:
        on_top["problems"]["evaluation"] = [{**source, **upper} for source in lower]
    elif isinstance(lower, list) != isinstance(upper, list) and lower is not None and upper is not None:
        del below["problems"]["evaluation"]
    return below, on_top


def _evaluation(parameters: Parameters) -> object:
    problems = parameters.get("problems")
    return problems.get("evaluation") if isinstance(problems, Mapping) else None


def _plain(parameters: Any) -> Any:  # noqa: ANN401
    """As dicts and lists, interpolations unresolved."""
    return OmegaConf.to_container(parameters, resolve=False) if OmegaConf.is_config(parameters) else parameters
