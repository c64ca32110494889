"""The CMU ARCTIC databases."""
