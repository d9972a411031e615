"""Parameters of a task or plan: gathered from arguments and files, and held against what its author declares.

No value is ever in a message: an author may have forgotten to mark the one that is secret.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import click
import msgspec

from orchbridge.cli.pe.fitting import fits
from orchbridge.cli.pe.puppet_types import ANY, read, takes_text, wish
from orchbridge.cli.pe.session import at_the_prompt
from orchbridge.cli.pe.telling import Veil
from orchbridge.core.errors import ConfigError
from orchbridge.orchestrator.models import Parameter, Plan, Task

STDIN = "-"
Lookups: TypeAlias = Mapping[str, Mapping[str, str]]  # by parameter: `value`, and `type`: query or node_group


@dataclass(frozen=True, slots=True)
class Gathered:
    """Parameters as they are sent.

    clear   the sensitive ones that stood on the command line
    veil    what may be shown of anything that has to do with them
    """

    values: Mapping[str, Any] = field(repr=False)
    clear: tuple[str, ...]
    veil: Veil


@dataclass(frozen=True, slots=True)
class Given:
    """What was given, before it is known what it is for: texts by name, and the path of a JSON file or -."""

    texts: Mapping[str, str] = field(repr=False)
    file: str | None

    @classmethod
    def parse(cls, arguments: Sequence[str], file: str | None) -> Given:
        """Take `key=value` apart; raise ConfigError for anything else."""
        texts: dict[str, str] = {}
        for number, argument in enumerate(arguments, 1):
            name, equals, value = argument.partition("=")
            if not equals or not name:
                # It may be a value whose name is missing, so it is not repeated.
                told = f"argument {number} after the name is no parameter"
                raise ConfigError(told, hint="write parameters as key=value, and quote spaces: 'key=two words'")
            if name in texts:
                raise ConfigError(f"parameter {name} is given twice", hint="give it once; a list is written as JSON")
            texts[name] = value
        return cls(texts, file)


def lookups_of(queries: Sequence[str], node_groups: Sequence[str]) -> Lookups:
    """Return the parameters that PE is to look nodes up for, given as NAME=PQL and NAME=UUID; raise ConfigError."""
    found: dict[str, Mapping[str, str]] = {}
    for option, kind, several in (("--query", "query", queries), ("--node-group", "node_group", node_groups)):
        for text in several:
            name, equals, value = text.partition("=")
            if not (equals and name.isidentifier() and value):
                raise ConfigError(f"{option} names no parameter", hint=f"write it as {option} PARAMETER=...")
            if name in found:
                raise ConfigError(f"parameter {name} is given twice", hint="give it once")
            found[name] = {"value": value, "type": kind}
    return found


def gather(what: Task | Plan, given: Given, looked_up: frozenset[str] = frozenset()) -> Gathered:
    """Return the parameters as they are to be sent; raise ConfigError with all that is wrong with them.

    What is `looked_up` by the server must be declared, and not be given as well.
    """
    label = f"{'task' if isinstance(what, Task) else 'plan'} {what.name}"
    declared = None if what.parameters is None else {each.name: each for each in what.parameters}
    sensitive = what.sensitive
    _one_stdin(given, sensitive)
    values = _from_file(given.file) if given.file is not None else {}
    wrong = [] if declared is None else _undeclared(label, declared, [*values, *given.texts, *looked_up])
    wrong += [f"parameter {name} is given twice" for name in sorted(looked_up & {*values, *given.texts})]
    clear = []
    for name, text in given.texts.items():
        parameter = (declared or {}).get(name)
        if name in sensitive and (text == STDIN or text.startswith("@")):
            text = _secret(name, text)  # noqa: PLW2901
        elif name in sensitive:
            clear.append(name)
        values[name] = typed(text, parameter)
    for name, parameter in (declared or {}).items():
        if name in values and not fits(read(parameter.type), values[name]):
            wrong.append(f"parameter {name} takes {parameter.type}: write {wish(read(parameter.type))}")
    missing = [
        each
        for each in (declared or {}).values()
        if not (each.optional or each.name in values or each.name in looked_up)
    ]
    if missing:
        told = ", ".join(f"{each.name} ({each.type or 'any type'})" for each in missing)
        wrong.append(f"{label} needs {told}")
    if wrong:
        group = "task" if isinstance(what, Task) else "plan"
        raise ConfigError(f"{'; '.join(wrong)}; nothing was started", hint=f"see `orchbridge pe {group} {what.name}`")
    return Gathered(values, tuple(clear), Veil(sensitive, tuple(_leaves([values.get(name) for name in sensitive]))))


def typed(text: str, parameter: Parameter | None) -> Any:
    """Return what a text means for a parameter: itself where text is wanted, else the JSON it is, else itself."""
    kind = ANY if parameter is None else read(parameter.type)
    if takes_text(kind):
        return text
    try:
        value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return text
    return value if fits(kind, value) or not fits(kind, text) else text


def _leaves(value: Any) -> Iterator[str]:
    """Yield the texts and numbers in a value."""
    match value:
        case bool() | None:
            return
        case dict():
            for item in value.values():
                yield from _leaves(item)
        case list():
            for item in value:
                yield from _leaves(item)
        case _:
            yield str(value)


def _undeclared(label: str, declared: Mapping[str, Parameter], names: Sequence[str]) -> list[str]:
    strange = sorted(set(names) - declared.keys())
    if not strange:
        return []
    known = f"it takes {', '.join(declared)}" if declared else "it takes none"
    return [f"{label} has no parameter {' and no '.join(strange)}; {known}"]


def _from_file(file: str) -> dict[str, Any]:
    where = "standard input" if file == STDIN else file
    hint = 'give a JSON object: {"name": value, ...}'
    try:
        content = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
        told = msgspec.json.decode(content)
    except OSError as error:
        raise ConfigError(f"the parameters in {where} cannot be read: {error.strerror}", hint=hint) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        told = None  # the decoder's own words may repeat a value
    if not isinstance(told, dict):
        raise ConfigError(f"the parameters in {where} are not a JSON object", hint=hint)
    return told


def _one_stdin(given: Given, sensitive: frozenset[str]) -> None:
    wanted = [f"{name}=-" for name, text in given.texts.items() if text == STDIN and name in sensitive]
    wanted += ["--params-file -"] if given.file == STDIN else []
    if len(wanted) > 1 and not sys.stdin.isatty():
        raise ConfigError(
            f"{' and '.join(wanted)} would both read standard input", hint="give one of them as a file: key=@FILE"
        )


def _secret(name: str, text: str) -> str:
    """Return a sensitive value from a file, standard input, or a prompt that shows nothing."""
    if text == STDIN and sys.stdin.isatty():
        with at_the_prompt():
            return str(click.prompt(name, hide_input=True, err=True))
    try:
        value = sys.stdin.read() if text == STDIN else Path(text[1:]).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        # After the @ there may be no path at all but a secret that happens to begin with one.
        raise ConfigError(
            f"the file of the sensitive parameter {name} cannot be read: {reason}",
            hint=f"{name}=@FILE reads FILE; a value that begins with @ goes into a file itself",
        ) from None
    return value.removesuffix("\n").removesuffix("\r")
