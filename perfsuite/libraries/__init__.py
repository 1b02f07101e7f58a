"""The libraries underneath: which ones are really loaded, and what they say of themselves."""
