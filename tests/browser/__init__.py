"""Pages in a real browser: a package, so that its tests share one, which is closed after them."""
