"""Sound: reading recordings, mel spectrograms, pitch, pre-emphasis."""
