"""What a browser may ask for, and the sentence where it asks for anything else."""

import dataclasses
import json
import math
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

import data
from data.audio import reading
from experiments.common.prosody import Delivery
from wavenet_jax import InputError

MAX_CHARACTERS = 600
MAX_SPOKEN_S = 60.0
MAX_TEMPERATURE = 2.0
MAX_SEED = 2**32 - 1

MAX_CONTINUED_S = 20
MAX_UPLOAD_BYTES = 2**22
MAX_RECORDING_S = 120.0
MAX_RECORDING_RATE_HZ, MAX_RECORDING_CHANNELS = 192_000, 8


@dataclasses.dataclass(frozen=True)
class Wish:
    """Sound that is asked for.

    Attributes:
      model: by name.
      seed: of the random numbers.
      temperature: of the distribution of a sample.
    """

    takes: ClassVar[str]  # as of the models that can grant it

    model: str
    seed: int = 0
    temperature: float = 1.0

    def __post_init__(self):
        if not 0 <= self.seed <= MAX_SEED:
            raise InputError(f"The seed is {self.seed}: give a number from 0 to {MAX_SEED}.")
        if not 0 <= self.temperature <= MAX_TEMPERATURE:
            raise InputError(
                f"The temperature is {self.temperature}: give a number from 0 to {MAX_TEMPERATURE}."
            )


@dataclasses.dataclass(frozen=True)
class TextWish(Wish):
    """A text to speak.

    Attributes:
      text: at most `MAX_CHARACTERS` long.
      speaker: by name, of a model of several; "" of one voice.
      speed, pitch_semitones: as of `Delivery`.
    """

    takes = "text"

    text: str = ""
    speaker: str = ""
    speed: float = 1.0
    pitch_semitones: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        if not self.text.strip():
            raise InputError("There is no text: give some words.")
        if len(self.text) > MAX_CHARACTERS:
            raise InputError(
                f"The text has {len(self.text)} characters, and at most {MAX_CHARACTERS} are "
                "spoken at a time: give it in parts."
            )
        _ = self.delivery  # refuses what is out of range

    @property
    def delivery(self) -> Delivery:
        return Delivery(self.speed, self.pitch_semitones)


@dataclasses.dataclass(frozen=True)
class RecordingWish(Wish):
    """A recording to go on from.

    Attributes:
      seconds: to generate.
      file: the recording, of wav, flac or ogg.
    """

    takes = "recording"

    seconds: int = 5
    file: bytes = dataclasses.field(default=b"", repr=False)

    def __post_init__(self):
        super().__post_init__()
        if not 1 <= self.seconds <= MAX_CONTINUED_S:
            raise InputError(
                f"The length is {self.seconds} seconds: give a whole number from 1 to "
                f"{MAX_CONTINUED_S}."
            )


def text_wish(body: bytes) -> TextWish:
    """The wish in the JSON of a request.

    Raises:
      InputError: it is none.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError("The request is no JSON: use the page itself.") from error
    if not isinstance(fields, dict):
        raise InputError("The request has no fields: use the page itself.")
    return TextWish(**_checked(TextWish, fields))


def recording_wish(query: Mapping[str, str], body: bytes) -> RecordingWish:
    """The wish in the query of a request, whose body is the file.

    Raises:
      InputError: it is none.
    """
    fields: dict[str, Any] = {}
    for name, value in query.items():
        if name == "token":
            continue
        fields[name] = value
        if name != "model":
            try:
                fields[name] = float(value) if name == "temperature" else int(value)
            except ValueError:
                raise _wrong(name, value, "a number") from None
    return RecordingWish(**_checked(RecordingWish, fields), file=body)


def _checked(kind: type[Wish], given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the types that a wish has.

    Raises:
      InputError: one is unknown, missing or of another type.
    """
    types = {field.name: field.type for field in dataclasses.fields(kind) if field.name != "file"}
    checked: dict[str, Any] = {}
    for name, value in given.items():
        if name not in types:
            raise InputError(f"The field {name[:40]!r} is unknown: use one of {', '.join(types)}.")
        if types[name] is str:
            if not isinstance(value, str):
                raise _wrong(name, value, "text")
        elif types[name] is int:
            if isinstance(value, bool) or not isinstance(value, int):
                raise _wrong(name, value, "a whole number")
        else:
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise _wrong(name, value, "a number")
            if not math.isfinite(_float(value)):
                raise _wrong(name, value, "a finite number")
            value = float(value)
        checked[name] = value
    if "model" not in checked:
        raise InputError("The model is missing: name one.")
    return checked


def _float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _wrong(name: str, value: object, wanted: str) -> InputError:
    return InputError(f"The field {name} is {_short(value)}: give {wanted}.")


def _short(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # a number of thousands of digits
        return "too long a number"
    return text if len(text) <= 60 else text[:57] + "..."


def read_recording(file: bytes, sample_rate_hz: int) -> np.ndarray:
    """The samples of an uploaded recording, int16 `[N]`, of one channel.

    It is in a temporary file while it is read.

    Args:
      file: of wav, flac or ogg.
      sample_rate_hz: to resample to.

    Raises:
      InputError: it is none, or longer than is taken.
    """
    if not file:
        raise InputError("There is no recording: choose a wav, flac or ogg file.")
    with tempfile.NamedTemporaryFile(prefix="wavenet_jax_upload_") as written:
        written.write(file)
        written.flush()
        path = pathlib.Path(written.name)
        try:
            header = reading.read_header(path)
            if (
                header.sample_rate_hz > MAX_RECORDING_RATE_HZ
                or header.channels > MAX_RECORDING_CHANNELS
            ):
                raise InputError(
                    f"The recording has {header.channels} channels at {header.sample_rate_hz} Hz: "
                    f"give one of at most {MAX_RECORDING_CHANNELS} at {MAX_RECORDING_RATE_HZ} Hz."
                )
            samples, _ = reading.read(
                path,
                sample_rate_hz=sample_rate_hz,
                mono=True,
                notices=reading.Notices(),
                max_seconds=MAX_RECORDING_S,
            )
        except data.DataError as error:
            reason = str(error).replace(str(path), "it").rpartition(": ")[0]
            raise InputError(
                f"The recording cannot be used ({reason}): give a wav, flac or ogg file of at "
                f"most {MAX_RECORDING_S:g} seconds."
            ) from error
    return samples
