"""The CSTR VCTK Corpus."""
