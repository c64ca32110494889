"""Speech synthesised on the spot by eSpeak NG (GPL-3.0-or-later), and what it makes of a text.

`engine` is eSpeak NG in a process, `synthesis` says texts with it, `front_end` keeps only what
is to be said, `texts` invents sentences; `espeak_dataset_builder` makes a corpus of them.
"""

from data.text.espeak.front_end import utterance

__all__ = ["utterance"]
