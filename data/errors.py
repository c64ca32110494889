"""The one error that bad input raises, and errors of other libraries in it."""


class DataError(ValueError):
    """Input that cannot be used: one sentence naming the thing, the value and the remedy."""


def first_line(error: BaseException) -> str:
    """An error of another library, short enough for a sentence."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else 'no message'}"
