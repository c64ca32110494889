"""The LJ Speech Dataset."""
