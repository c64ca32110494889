"""The one exception of the library that is the caller's to mend."""


class InputError(ValueError):
    """Bad input. Its message is one sentence: the thing, the value, the remedy."""
