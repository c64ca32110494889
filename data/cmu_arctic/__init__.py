"""The CMU Arctic databases."""
