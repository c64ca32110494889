"""Phone recognition (section 3.4): the recognizer, posteriors of recordings, decoding."""
