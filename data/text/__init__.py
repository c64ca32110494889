"""Text: phones and words in time, linguistic features, eSpeak NG, full-context labels of HTS."""
