"""A Puppet Enterprise orchestrator as a function of time: for demos, tests and trying a pipeline without one."""
