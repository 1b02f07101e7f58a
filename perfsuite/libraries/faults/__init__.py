"""What is wrong, library by library: pure functions of `Facts` that yield findings."""
