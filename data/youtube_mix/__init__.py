"""YouTubeMix."""
