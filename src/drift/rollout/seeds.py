"""Seeds of single responses: keyed by what is drawn, not by when."""

import hashlib


def response_seed(seed: int, problem_id: str, trajectory_id: int, turn: int) -> int:
    """The seed of one response's noise, the same whatever else is sampled at the time; 63 bits.

    Args:
        seed: of the rollout.
        problem_id: the problem asked.
        trajectory_id: 0 … N-1 within the problem.
        turn: 1 … K.
    """
    key = f"{seed}\0{problem_id}\0{trajectory_id}\0{turn}"
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) >> 1
