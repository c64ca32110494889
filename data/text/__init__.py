"""Text: phones and words in time, alignment, linguistic features, eSpeak NG, HTS labels."""
