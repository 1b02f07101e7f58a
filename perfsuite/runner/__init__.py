"""Jobs, their order, and the worker process that does one."""
