"""`orchbridge demo`: simulator, bridge, JSONL files and endpoints in one process, to look at."""

from orchbridge.cli.demo.play import DemoOptions
from orchbridge.cli.demo.run import run_demo

__all__ = ["DemoOptions", "run_demo"]
