"""The nouns: plain, frozen descriptions; no torch, no files, no processes."""
