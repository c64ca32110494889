"""The TIMIT Acoustic-Phonetic Continuous Speech Corpus."""
