"""The one exception for what a user can mend."""


class UserError(ValueError):
    """Something the user gave is wrong. The message is one sentence: what, where, and what to do."""
