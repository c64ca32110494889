"""Errors that a caller can mend: invalid input, and an invalid field of a config."""

from typing import Any


class InputError(ValueError):
    """Raised for invalid user input. The message is one sentence: thing, value, remedy."""


class ConfigError(InputError):
    """Raised for an invalid field of a config.

    Attributes:
      owner: the config, as the message names it, such as "The model".
      field: the name of the field, such as "dropout" or "dilations[1]".
      value: the invalid value.
      remedy: what to do, in the imperative, without a full stop.
    """

    def __init__(self, owner: str, field: str, value: Any, remedy: str):
        verb = "are" if isinstance(value, tuple) else "is"
        super().__init__(f"{owner}'s {field} {verb} {value!r}: {remedy}.")
        self.owner, self.field, self.value, self.remedy = owner, field, value, remedy

    def __reduce__(self):
        return type(self), (self.owner, self.field, self.value, self.remedy)
