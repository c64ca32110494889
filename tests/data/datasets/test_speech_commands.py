"""SC09: the ten digits of Speech Commands, split by its lists."""

import pathlib
import shutil

import numpy as np
import pytest
from synthetic import noise, write

import data

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPEAKERS = {"train": "004ae714", "validation": "0a7c2a8d", "test": "ffd2ba2f"}


def make(root: pathlib.Path) -> pathlib.Path:
    """With a word that is no digit, and noises."""
    for i, word in enumerate((*DIGITS, "backward")):
        for j, speaker in enumerate(SPEAKERS.values()):
            for take in (0, 1):
                name = f"{speaker}_nohash_{take}.wav"
                write(root / word / name, noise(100 + i, 100 * i + 10 * j + take), 16000)
    for split, name in (("validation", "validation_list.txt"), ("test", "testing_list.txt")):
        paths = [
            f"{word}/{SPEAKERS[split]}_nohash_{take}.wav"
            for word in ("backward", *DIGITS)
            for take in (0, 1)
        ]
        (root / name).write_text("\n".join(paths) + "\n")
    write(root / "_background_noise_" / "pink_noise.wav", noise(500), 16000)
    (root / "_background_noise_" / "README.md").write_text("about")
    return root


def test_its_lists_are_the_splits(tmp_path: pathlib.Path) -> None:
    source = make(tmp_path / "in")
    # As `speech_commands_v0.02.tar.gz` is packed: `./zero/...`, with no folder above.
    archive = shutil.make_archive(str(tmp_path / "speech_commands_v0.02"), "gztar", source)
    for out, given in (("folder", source), ("archive", pathlib.Path(archive))):
        data.build("speech_commands", data_dir=tmp_path / out, source=given)
        for j, (split, speaker) in enumerate(SPEAKERS.items()):
            corpus = data.load("speech_commands", tmp_path / out, split)
            assert corpus.class_names == {"digit": DIGITS}
            assert len(corpus) == 20
            for i in range(20):
                example = corpus.recording(i)
                digit, take = divmod(i, 2)
                assert example["digit"] == digit
                assert example["speaker"] == speaker
                assert corpus.names[i] == f"{DIGITS[digit]}/{speaker}_nohash_{take}.wav"
                np.testing.assert_array_equal(
                    example["audio"], noise(100 + digit, 100 * digit + 10 * j + take)
                )


def test_refusals(tmp_path: pathlib.Path) -> None:
    def refused(message: str) -> None:
        with pytest.raises(data.DataError, match=message):
            data.build("speech_commands", data_dir=tmp_path / "out", source=source)
        assert not (tmp_path / "out").exists()

    source = make(tmp_path / "in")
    clip = source / "six" / "0a7c2a8d_nohash_1.wav"
    clip.rename(clip.with_name("six.wav"))
    refused(r"six\.wav is not named \{speaker\}_nohash_\{take\}\.wav")
    (source / "six" / "six.wav").unlink()
    refused(r"six/0a7c2a8d_nohash_1\.wav is missing, and validation_list\.txt names it \(1 such")
    shutil.rmtree(source / "nine")
    refused(r"nine holds no recordings: restore it")
    (source / "testing_list.txt").unlink()
    refused(r"testing_list\.txt is missing: restore it")
    (source / "validation_list.txt").unlink()
    refused(r"as Speech Commands is: it should hold validation_list\.txt, and holds _background")
