"""What each number of the report means, in a sentence."""

EXPLANATIONS = (
    (
        "multi@k",
        "Share of the problems solved within k turns, greedy decoding; the policy is only told that it is wrong.",
    ),
    (
        "[a, b]",
        "95 % interval over problems. Where each problem counts once, right or wrong: exact (Clopper-Pearson), and for "
        "paired differences a score interval (Tango). For everything else, averages over benchmarks included, problems "
        "are drawn again with replacement.",
    ),
    ("difference", "Policy minus reference on the same problems, so that their common difficulty cancels; in points."),
    (
        "p",
        "How often a difference as large would come about if the two policies were the same: McNemar's exact test for "
        "multi@k, random exchanges of results for everything else. Many are shown: one small p proves little.",
    ),
    (
        "average",
        "Unweighted mean over benchmarks, whatever their sizes. They are resampled independently, but a problem that "
        "two of them ask (MATH-500 lies inside MATH) is drawn for both.",
    ),
    ("correction rate", "Of the problems wrong at turn 1, the share solved at a later turn."),
    ("distinct answers", "Different normalised answers in one conversation, on average; then of failed ones alone."),
    ("repeated answers", "Of all retries, the share whose answer was given before in the same conversation."),
    ("lost the format", "After a turn with a readable answer, the share of next turns in which none could be read."),
    ("tokens a problem", "Response tokens of all turns, on average over problems."),
    ("tokens a solved", "Response tokens of all conversations, failed ones included, for each solved problem."),
    ("cut responses", "Share of the responses that met the token limit."),
    (
        "pass@k",
        "Control: share of the problems that at least one of k independent attempts solves, without conversation; they "
        "are drawn at rollout.temperature, while conversations are greedy.",
    ),
    (
        "talking instead of retrying",
        "multi@K minus what retrying solves for the same tokens. The retrier begins with the conversation's own first "
        "turn (greedy), goes on with independent attempts (drawn at rollout.temperature), and stops at the first right "
        "one. Both share turn 1, so the difference is what the conversation adds to mere retrying.",
    ),
    (
        "guessing",
        "multi@k of random choices on multiple-choice problems; a guesser that never repeats itself is surest.",
    ),
)
"""Name and sentence."""
