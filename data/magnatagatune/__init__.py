"""MagnaTagATune."""
