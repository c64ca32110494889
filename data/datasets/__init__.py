"""Corpora as TFDS builders, a folder each."""
