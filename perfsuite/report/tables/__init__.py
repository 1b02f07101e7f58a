"""The tables that the terminal and Markdown share: their rows, and the texts in them."""
