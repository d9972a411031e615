"""The world goes wrong on purpose: a real broker, a real bridge and a hostile world, judged by the truth."""
