"""Studies: programs that train or generate variants and compare them."""
