"""The VCTK Corpus."""
