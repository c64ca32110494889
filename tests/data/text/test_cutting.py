"""Long recordings cut at pauses: nothing is lost, and the words stay with their sound."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import noise

import data
from data.text import alignment, cutting
from data.text.espeak.engine import NATIVE_RATE_HZ
from data.text.espeak.synthesis import WORDS_PER_MINUTE, Utterance, synthesise
from data.text.spans import Speech

TEXT = (
    "The curious judge followed her shadow - in 1842, it seems. A quiet ocean reached the "
    "northern village (near our bridge); every early letter was carried beyond the garden. "
    '"Another smooth engine," he said, "has been measured under the frozen window!" The boat '
    "avoided that heavy hammer all evening, without a word, and taught the U.S.A. at once."
)


def synthesised(text: str) -> Speech:
    pytest.importorskip("espeakng_loader", reason="eSpeak NG is in the extra demo")
    return next(synthesise([Utterance(text, "en-us", WORDS_PER_MINUTE)]))


@pytest.fixture(scope="module")
def speech() -> Speech:
    return synthesised(TEXT)


def read_aloud(speech: Speech, pauses_s: list[float]) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """The speech with other pauses between its words, and the words' true edges in it."""
    rate_hz = speech.sample_rate_hz
    sound: list[np.ndarray] = [np.zeros(rate_hz // 5, np.int16)]
    edges: list[tuple[int, int]] = []
    for i, word in enumerate(speech.words):
        own = speech.samples[word.start : word.end]
        at = sum(map(len, sound))
        edges.append((at, at + len(own)))
        gap_s = 0.0
        if i + 1 < len(speech.words) and speech.words[i + 1].start > word.end:
            gap_s = pauses_s[i % len(pauses_s)]
        sound += [own, np.zeros(round(gap_s * rate_hz), np.int16)]
    return np.concatenate([*sound, np.zeros(rate_hz // 5, np.int16)]), edges


def check_whole(parts: list[cutting.Part], text: str, length_s: float) -> None:
    assert parts[0].start_s == 0 and parts[-1].end_s == length_s
    assert all(before.end_s == after.start_s for before, after in itertools.pairwise(parts))
    assert " ".join(part.text for part in parts).split() == text.split()
    assert all(part.text for part in parts)


@given(
    st.lists(st.tuples(st.floats(0.01, 20), st.floats(0.2, 3), st.booleans()), max_size=20),
    st.floats(0.1, 20),
)
def test_parts_are_short_where_pauses_allow(
    gaps: list[tuple[float, float, bool]], last_s: float
) -> None:
    pauses, at = [], 0.0
    for i, (speech_s, pause_s, punctuated) in enumerate(gaps, start=1):
        pauses.append(cutting.Pause(at + speech_s, at + speech_s + pause_s, i, punctuated))
        at += speech_s + pause_s
    end_s = at + last_s
    chosen = cutting.chosen(pauses, 0.0, end_s)
    assert chosen == [pause for pause in pauses if pause in chosen]
    edges = [0.0, *(pause.middle_s for pause in chosen), end_s]
    if end_s <= cutting.MAX_PART_S:
        assert not chosen
    for start, end in itertools.pairwise(edges):
        assert not chosen or end - start >= cutting.MIN_PART_S - 1e-9
        if end - start > cutting.MAX_PART_S:
            inside = [pause.middle_s for pause in pauses if start < pause.middle_s < end]
            nearest = [min(middle - start, end - middle) for middle in inside]
            assert all(distance < cutting.MIN_PART_S for distance in nearest)


def test_punctuation_comes_first_and_then_the_longest() -> None:
    pauses = [
        cutting.Pause(3.0, 3.9, 5, punctuated=False),
        cutting.Pause(6.0, 6.3, 9, punctuated=True),
        cutting.Pause(9.0, 9.5, 12, punctuated=True),
    ]
    assert cutting.chosen(pauses, 0.0, 14.0) == [pauses[2]]
    assert cutting.chosen(pauses[:2], 0.0, 14.0) == [pauses[1]]
    assert cutting.chosen(pauses, 0.0, 22.0) == [pauses[2]]
    assert cutting.chosen(pauses, -4.0, 14.0) == pauses[1:]


@pytest.mark.parametrize("repeats", [1, 2])
def test_words_stay_with_their_sound(repeats: int) -> None:
    """Also beyond `alignment.MAX_S`, where the frames of the alignment are longer."""
    text = " ".join([TEXT] * repeats)
    speech = synthesised(text)
    samples, edges = read_aloud(speech, [0.35, 0.05, 0.6, 0.25])
    length_s = len(samples) / NATIVE_RATE_HZ
    assert (length_s > alignment.MAX_S) == (repeats > 1)
    parts = cutting.parts("it", text, speech, samples, NATIVE_RATE_HZ)
    check_whole(parts, text, length_s)
    assert all(part.end_s - part.start_s <= cutting.MAX_PART_S for part in parts)
    tokens = [len(text[: place + 1].split()) - 1 for place in speech.places]
    done = 0
    for part in parts[:-1]:
        done += len(part.text.split())
        cut = part.end_s * NATIVE_RATE_HZ
        before = max(end for (_, end), token in zip(edges, tokens, strict=True) if token < done)
        after = min(start for (start, _), token in zip(edges, tokens, strict=True) if token >= done)
        assert before <= cut <= after


@settings(max_examples=5)
@given(st.integers(0, 2**32 - 1), st.sampled_from([4000, 16000]), st.floats(8, 18))
def test_nothing_is_lost_of_any_recording(
    speech: Speech, seed: int, rate_hz: int, length_s: float
) -> None:
    """Unlike speech, with silences anywhere."""
    random = np.random.default_rng(seed)
    samples = noise(round(length_s * rate_hz), seed)
    for start in random.integers(0, len(samples), 6):
        samples[start : start + int(random.uniform(0.1, 2) * rate_hz)] = 0
    parts = cutting.parts("it", TEXT, speech, samples, rate_hz)
    check_whole(parts, TEXT, len(samples) / rate_hz)
    cuts = [round(part.end_s * rate_hz) for part in parts]
    assert cuts == sorted(set(cuts)) and cuts[-1] == len(samples)


def test_a_text_without_white_space_is_whole() -> None:
    """Whatever the pauses between the words that eSpeak makes of it."""
    text = ",".join(["seven", "boats"] * 4)
    speech = synthesised(text)
    assert len(speech.words) == 8
    silence = np.zeros(NATIVE_RATE_HZ, np.int16)
    spoken = [[silence, speech.samples[word.start : word.end]] for word in speech.words]
    samples = np.concatenate([*itertools.chain(*spoken), silence])
    (part,) = cutting.parts("it", text, speech, samples, NATIVE_RATE_HZ)
    assert part == (0.0, len(samples) / NATIVE_RATE_HZ, text)
    apart = text.replace(",", " ")
    assert len(cutting.parts("it", apart, speech, samples, NATIVE_RATE_HZ)) > 1


def test_refusals(speech: Speech) -> None:
    with pytest.raises(data.DataError, match=r"^a\.wav lasts 601\.0 s, and alignment takes up to"):
        cutting.parts("a.wav", TEXT, speech, noise(601 * 100), 100)
