"""The list of what a source is done: everything the simulator can do wrong, or why not."""

from __future__ import annotations

from orchbridge.sim.knobs import AUTH_FAULTS, RULES, Knobs, taken_apart
from tests.chaos.list_faults import TURNED_LISTS
from tests.chaos.source_faults import TURNED

# What cannot be turned while a world goes on, or means nothing to a bridge; tests/e2e/test_faults.py has those that do.
APART = {
    "shape_version": "a server is not upgraded and set back within seconds",
    "id_restart": "the lever `restore` does it",
    "forbidden": "the lever `forbid` does it",
    "default_order": "the bridge always says which order",
    "unknown_query_params": "what the bridge asks is known to the newest server",
    "auth_modes": "how we are let in is the same throughout",
    "token_life": "told by another service",
    "scheduler": "the act `skip` does it",
    "scheduled": "a server does not lose and gain an API within seconds; tests/e2e/test_lists.py has both",
    **dict.fromkeys(("required_params", "plan_finished_status", "puppetdb"), "for whoever sends commands"),
    "all_tasks": "of task targets, which no stream reads",
}
FORMS_APART = {
    ("inventory", "malformed-timestamp"): "a stamp names a session: it is malformed always or never",
    ("broker_status", "running"): "what an inventory that is well tells",
    ("broker_status", "unknown"): "the same to the bridge as `error`",
    ("single_service", "bare"): "the bridge takes both, and asks only where an inventory is empty",
    ("empty_total", "0"): "what the newest server does",
    ("timestamps_key", "both"): "the one that is read is there",
    ("id_host", "wrong-port"): "no link is followed, whatever it says",
    **{("auth_fault", word): "the lever `revoke` does it" for word in AUTH_FAULTS},
}


def test_everything_the_simulator_can_do_wrong_is_done() -> None:
    done = {(knob, dose.form) for _, knobs in (TURNED | TURNED_LISTS).values() for knob, value in knobs.items()
            for dose in taken_apart(knob, value)}  # fmt: skip
    known = {(knob, form.removesuffix(":")) for knob, rule in RULES.items() if knob not in APART for form in rule.forms}
    harmless = {(knob, dose.form) for knob in RULES for dose in taken_apart(knob, getattr(Knobs(), knob))}
    missing = known - {(knob, form.removesuffix(":")) for knob, form in done} - harmless - FORMS_APART.keys()
    assert missing == set()
    assert APART.keys() <= RULES.keys()
