"""Speech synthesised on the spot by eSpeak NG (GPL-3.0-or-later)."""
