"""What vLLM's workers can do beside what vLLM gives them; vLLM loads this class by its name."""

from typing import Any


class WorkerExtension:
    """Mixed into vLLM's worker."""

    model_runner: Any

    def renew_output_layer(self) -> None:
        """Packs the output layer anew after its weights were replaced.

        On a CPU vLLM multiplies with a packed copy of the output layer. Where that shares its weights with the
        embeddings, a reload writes the embeddings and leaves the copy as it was: the engine then computes the old
        policy's probabilities from the new policy's states, and nothing says so.
        """
        head = getattr(self.model_runner.get_model(), "lm_head", None)
        if head is not None and hasattr(head, "quant_method"):
            head.quant_method.process_weights_after_loading(head)
