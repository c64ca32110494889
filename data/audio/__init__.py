"""Sound: reading recordings, mel spectrograms, pitch, filters."""
