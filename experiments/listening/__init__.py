"""Listening tests: what people think of sound, from the plan to the statistics.

`preparing` writes a test as a folder, after the plan of `design` and with the sounds of `sounds`;
`description` is the file that holds it. `answers` reads what listeners answered, `screening`
finds those who did not listen, `statistics` has estimates and tests, `reporting` what is written.

A page that presents the trials is given one session of the description, and neither the systems
nor the texts of its sounds; what it collects is written as `answers` reads it.
"""
