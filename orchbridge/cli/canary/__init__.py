"""The canary: a harmless task, started now and then, that proves the whole chain by arriving in the sink."""

from orchbridge.cli.canary.errand import Errand
from orchbridge.cli.canary.keeper import Canaries

__all__ = ["Canaries", "Errand"]
