"""NSynth."""
