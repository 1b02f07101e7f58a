"""The rows and texts of tables, for the terminal and Markdown."""
