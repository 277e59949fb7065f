"""The one exception for what a user can mend."""

import errno


class UserError(ValueError):
    """Something the user gave is wrong. The message is one sentence: what, where, and what to do."""


def disk_full(error: BaseException) -> UserError | None:
    """The sentence for a full disk; None for any other error."""
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    return UserError(
        f"There is no room left ({error.filename or 'the disk'}): make some and run the same command again."
    )
