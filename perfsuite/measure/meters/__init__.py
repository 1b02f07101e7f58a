"""One file a meter: what is sampled beside a measurement."""
