"""What a terminal shows while something goes on."""
