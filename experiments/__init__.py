"""Programs, configs and studies on the library and the corpora."""
