"""The errors that bad input raises, and errors of other libraries in them."""


class DataError(ValueError):
    """Input that cannot be used: one sentence naming the thing, the value and the remedy."""


class RecordingError(DataError):
    """A recording that cannot be used; `skip_bad` builds a corpus without it."""


def first_line(error: BaseException) -> str:
    """An error of another library, short enough for a sentence."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else 'no message'}"
