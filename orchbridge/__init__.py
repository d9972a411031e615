"""orchbridge: every fact of a Puppet Enterprise orchestrator in Kafka, exactly once."""

__version__ = "0.1.0"
