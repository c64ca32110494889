"""Speech and phones of texts by eSpeak NG (GPL-3.0-or-later).

`engine` is eSpeak NG in a process, `synthesis` makes speech of texts with it, `front_end` gives
the phones and words of a text, `texts` makes sentences. `data.datasets.espeak` is a corpus of them.
"""

from data.text.espeak.front_end import unspeakable, utterance
from data.text.espeak.synthesis import Process, start

__all__ = ["Process", "start", "unspeakable", "utterance"]
