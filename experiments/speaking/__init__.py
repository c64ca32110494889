"""A page that speaks: `experiments.app`.

Where to look: `models` are what the page offers, ready to speak; `wishes` is what a browser may ask
for; `line` has the listeners wait for one another; `server` generates for the first of them and
sends what is made; `page/` is what the browser shows.
"""
