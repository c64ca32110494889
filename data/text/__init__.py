"""Text: phones and words in time, alignment, cutting, linguistic features, eSpeak NG, HTS."""
