"""Measures of sound and of transcripts."""
