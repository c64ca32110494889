"""Durations and F0 (section 3.2): networks and their checkpoints."""
