"""Phones in their syllables, words and phrases, against what a reader counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import data
from data.text import frames, linguistics

NAMES = ("_", "h", "@", "l", "oU", "t", "u:")
# A pause; "hello" with its second syllable stressed, "too"; a pause; "lo", "oo"; a pause.
SAID = ["_", "h", "@", "l", "oU", "t", "u:", "_", "l", "oU", "u:", "_"]
STRESS = [0, 0, 0, 0, 2, 0, 1, 0, 0, 0, 2, 0]
WORDS = [(1, 5), (5, 7), (8, 10), (10, 11)]


def example(rate_hz: int = 8000) -> dict[str, np.ndarray]:
    edges = np.arange(len(SAID) + 1) * rate_hz // 10
    first, last = np.array(WORDS).T
    return {
        "audio": np.zeros(edges[-1], np.int16),
        "phones": np.array([NAMES.index(name) for name in SAID]),
        "phone_starts": edges[:-1],
        "phone_ends": edges[1:],
        "phone_stress": np.array(STRESS),
        "word_starts": edges[first],
        "word_ends": edges[last],
        "f0_hz": np.full(len(SAID) * 20, 300, np.float32),
    }


def counts(level: str) -> list[tuple[int, int]]:
    contexts = linguistics.phone_contexts(example(), names=NAMES)
    column = 5 * len(NAMES) + 4 + 2 * linguistics.LEVELS.index(level)
    pairs = contexts[:, column : column + 2] * linguistics.COUNT_UNIT
    return [tuple(int(n) for n in pair) for pair in np.rint(pairs)]


NONE = (0, 0)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        # he-llo: the consonant before a vowel is that vowel's.
        (
            "phone",
            [
                NONE,
                (0, 1),
                (1, 0),
                (0, 1),
                (1, 0),
                (0, 1),
                (1, 0),
                NONE,
                (0, 1),
                (1, 0),
                NONE,
                NONE,
            ],
        ),
        (
            "syllable",
            [NONE, (0, 1), (0, 1), (1, 0), (1, 0), NONE, NONE, NONE, NONE, NONE, NONE, NONE],
        ),
        (
            "word",
            [
                NONE,
                (0, 1),
                (0, 1),
                (0, 1),
                (0, 1),
                (1, 0),
                (1, 0),
                NONE,
                (0, 1),
                (0, 1),
                (1, 0),
                NONE,
            ],
        ),
        ("phrase", [NONE, *[(0, 1)] * 6, NONE, *[(1, 0)] * 3, NONE]),
    ],
)
def test_places(level: str, expected: list[tuple[int, int]]) -> None:
    assert counts(level) == expected


def test_identities_stress_and_vowels() -> None:
    contexts = linguistics.phone_contexts(example(), names=NAMES)
    names = linguistics.context_names(NAMES)
    assert contexts.shape == (12, len(names)) == (12, len(set(names)))
    column = dict(zip(names, contexts.T, strict=True))
    for name in NAMES:
        np.testing.assert_array_equal(column[f"phone: {name}"], [name == each for each in SAID])
        np.testing.assert_array_equal(
            column[f"phone +2: {name}"][:-2], column[f"phone: {name}"][2:]
        )
    np.testing.assert_array_equal(column["vowel"], contexts[:, 38])
    assert column["stress: primary"][3] == 1
    assert column["words after"][1] == 1 / linguistics.COUNT_UNIT
    assert contexts.dtype == np.float32
    here, before, after, second, fourth = (contexts[:, 7 * i : 7 * i + 7] for i in range(5))
    phones = example()["phones"]
    np.testing.assert_array_equal(here.argmax(axis=1), phones)
    np.testing.assert_array_equal(before[1:].argmax(axis=1), phones[:-1])
    np.testing.assert_array_equal(after[:-1].argmax(axis=1), phones[1:])
    np.testing.assert_array_equal(second[2:].argmax(axis=1), phones[:-2])
    np.testing.assert_array_equal(fourth[:-2].argmax(axis=1), phones[2:])
    assert not (before[0].any() or after[-1].any() or second[:2].any() or fourth[-2:].any())
    stress = contexts[:, 35:38]
    # A syllable is stressed as its vowel is; pauses have no stress, not even none.
    expected = [None, 0, 0, 2, 2, 1, 1, None, 0, 0, 2, None]
    assert [int(row.argmax()) if row.any() else None for row in stress] == expected
    assert contexts[:, 38].tolist() == [name in ("@", "oU", "u:") for name in SAID]


def test_the_columns_of_what_is_around_a_phone() -> None:
    """Without them phones differ in no more than what they are, their stress and being a vowel."""
    names = linguistics.context_frame_names(linguistics.context_names(NAMES), with_pitch=True)
    groups = linguistics.columns_around(names)
    assert [{names[i].partition(":")[0] for i in group} for group in groups] == [
        {"phone -1"},
        {"phone +1"},
        {"phone -2"},
        {"phone +2"},
        set(linguistics.COUNT_NAMES),
    ]
    contexts = linguistics.phone_contexts(example(), names=NAMES)
    contexts[:, np.concatenate(groups)] = 0
    alike = {(name, *row[-12:-8]) for name, row in zip(SAID, contexts, strict=True)}
    assert len(np.unique(contexts, axis=0)) == len(alike)
    assert linguistics.columns_around(["LL-Vowel", "phones", "phone: a"]) == []


def test_a_sound_after_a_words_end_is_of_no_word() -> None:
    cut = example()
    cut["word_ends"] = cut["word_ends"].copy()
    cut["word_ends"][1] = cut["phone_ends"][5]  # of "too" the t alone is left
    contexts = linguistics.phone_contexts(cut, names=NAMES)
    assert not contexts[6, 5 * len(NAMES) : 5 * len(NAMES) + 3].any()
    assert not contexts[6, 5 * len(NAMES) + 4 :].any()
    assert contexts[5, 5 * len(NAMES) + 4 :].any()


def test_frames_say_what_sounds_and_with_pitch_how_high() -> None:
    options = {"names": NAMES, "hop_samples": 40, "sample_rate_hz": 8000}
    plain = linguistics.linguistic_features(example(), with_pitch=False, **options)
    voiced = linguistics.linguistic_features(example(), with_pitch=True, **options)
    contexts = linguistics.context_names(NAMES)
    for features, with_pitch in ((plain, False), (voiced, True)):
        names = linguistics.context_frame_names(contexts, with_pitch=with_pitch)
        assert features.shape == (240, len(names)) == (240, len(set(names)))
    np.testing.assert_array_equal(voiced[:, : plain.shape[1]], plain)
    pitch = frames.pitch_features(np.array([[np.log(2), 1]] * 240))
    np.testing.assert_allclose(voiced[:, plain.shape[1] :], pitch, atol=1e-5)
    contexts = linguistics.phone_contexts(example(), names=NAMES)
    np.testing.assert_array_equal(plain[:, :-4], np.repeat(contexts, 20, axis=0))
    np.testing.assert_allclose(plain[:20, -1], 1)  # a phone of 100 ms
    np.testing.assert_allclose(plain[0, -4:-1], [0.95, 0.05, 0], atol=1e-6)


def test_frames_of_contexts_of_any_kind() -> None:
    contexts = np.arange(24, dtype=np.float32).reshape(12, 2)
    for with_pitch in (False, True):
        expanded = linguistics.expand_contexts(
            example(), contexts, hop_samples=40, sample_rate_hz=8000, with_pitch=with_pitch
        )
        width = len(linguistics.context_frame_names("ab", with_pitch=with_pitch))
        assert expanded.shape == (240, width) == (240, 6 + with_pitch * frames.NUM_PITCH)
        np.testing.assert_array_equal(expanded[:, :2], np.repeat(contexts, 20, axis=0))


@pytest.mark.parametrize(
    ("vowels", "others"),
    [
        ("@ aI oU i: 3: V I2 0 @L n- O: u:", "_ p tS dZ S N D w j r h v"),  # eSpeak
        ("iy ax-h axr er el em en eng ux ao", "h# pau epi b bcl dx q hv y w v zh"),  # TIMIT
    ],
)
def test_vowels(vowels: str, others: str) -> None:
    assert all(map(linguistics.is_vowel, vowels.split()))
    assert not any(map(linguistics.is_vowel, others.split()))


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=12), st.randoms())
def test_any_phones(drawn: list[str], random) -> None:
    """Words of any phones that are no pauses: every syllable is within a word."""
    words, begin = [], None
    for i, name in enumerate([*drawn, "_"]):
        cut = begin is not None and (name == "_" or random.random() < 0.3)
        if cut:
            words.append((begin, i))
            begin = None
        if name != "_" and begin is None:
            begin = i
    spans = np.array(words, np.int64).reshape(-1, 2)
    given_example = {
        "phones": np.array([NAMES.index(name) for name in drawn]),
        "phone_starts": np.arange(len(drawn)),
        "word_starts": spans[:, 0],
        "word_ends": spans[:, 1],
    }
    contexts = linguistics.phone_contexts(given_example, names=NAMES)
    assert np.isfinite(contexts).all()
    # Sums of what is before and after say how many there are: the same for all of a word.
    syllables = contexts[:, -6:-4].sum(axis=1)
    for first, last in words:
        assert len(set(syllables[first:last])) == 1
        own = [linguistics.is_vowel(name) for name in drawn[first:last]]
        assert round(syllables[first] * linguistics.COUNT_UNIT) == max(0, sum(own) - 1)
    assert not contexts[[name == "_" for name in drawn], 36:].any()


def test_on_synthesised_speech(spoken: data.Corpus) -> None:
    names = spoken.class_names["phones"]
    for i in range(len(spoken)):
        recording = spoken.recording(i)
        frames = linguistics.linguistic_features(
            recording, names=names, hop_samples=40, sample_rate_hz=8000, with_pitch=True
        )
        assert len(frames) == -(-len(recording["audio"]) // 40)
        contexts = linguistics.phone_contexts(recording, names=names)
        sounding = [names[phone] != "_" for phone in recording["phones"]]
        has_stress = contexts[:, 5 * len(names) :][:, :3].any(axis=1)
        np.testing.assert_array_equal(has_stress, sounding)
