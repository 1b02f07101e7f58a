"""What several passes use: layers, copies and calls of a net, goals, saved choices."""
