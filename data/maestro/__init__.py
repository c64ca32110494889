"""MAESTRO."""
