"""Beethoven's piano sonatas."""
