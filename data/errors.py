"""The one error that bad input raises."""


class DataError(ValueError):
    """Input that cannot be used: one sentence naming the thing, the value and the remedy."""
