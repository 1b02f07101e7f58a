"""A suite's TOML to a typed suite, and a suite to cells."""
