"""Where records go and where the memory lives: Kafka, JSONL files, standard output, and a fake for tests."""
