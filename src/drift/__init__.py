"""DRIFT: teach a language model to correct itself when it is told that it is wrong.

Trajectories are sampled once from a fixed reference policy (`drift.rollout`), their returns become
importance weights (`drift.weighting`), the policy is fine-tuned on the terminal turns by weighted
likelihood (`drift.training`), and multi@k measures the result (`drift.evaluation`).

The stages are plain Python and know nothing of Kedro; `drift.pipelines` wires them into a Kedro project.
"""

from drift.machine.threads import choose_how_to_wait

__version__ = "0.1.0"

choose_how_to_wait()  # here, because it must come before anything imports torch
