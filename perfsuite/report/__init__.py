"""Tables shared by all outputs, and the outputs."""
