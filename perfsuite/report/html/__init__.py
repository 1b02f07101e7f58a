"""The HTML page of a run: one file that opens from disk, without a network.

A section of the page is one file in `sections/`, and one line in `sections/table.py`. It gives
blocks (`blocks.py`): texts, tables, plots. `templates/` has one file for each kind of block, and
the whole page; `static/` has the style, what runs in the browser, and the plotting library.
"""
