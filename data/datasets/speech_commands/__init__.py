"""The spoken digits of Speech Commands."""
