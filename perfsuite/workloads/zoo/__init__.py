"""The systems that come with perfsuite: nets, tasks, weights, and how these were trained."""
