"""Listening tests: what people think of sound, from the plan to the statistics.

`preparing` writes a test as a folder, after the plan of `design` and with the sounds of `sounds`;
`systems` has models make some of them; `description` is the file that holds it. `simulated` has
listeners who do not exist, for a rehearsal. `serving` gives sessions to the page in `page/`, and
`collecting` stores what comes. `answers` reads what listeners answered, `screening` finds those who
did not listen, `statistics` has estimates and tests, `reporting` what is written.

The page is given one session of the description, and neither the systems nor the texts of its
sounds.
"""
