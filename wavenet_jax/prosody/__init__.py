"""Durations, F0 and spectra (section 3.2): networks and their checkpoints."""
