"""YAML files that somebody wrote: read with bounds on size, depth and kind, before anything is built."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from simulator.errors import InputError, describe, is_plain_line, printable
from simulator.spec.textfiles import MAX_YAML_BYTES, read_text, short

try:  # libyaml's loader is ten times faster; PyYAML is sometimes built without it
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # pragma: no cover
    from yaml import SafeLoader

MAX_DEPTH = 40


class _Loader(SafeLoader):
    """YAML without dates, and with numbers such as 1e3, which YAML 1.1 takes for text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the loader of yaml has it so
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith("timestamp")]
        for first, resolvers in SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(?:\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def read_yaml(path: Path) -> Any:
    """The plain data of a YAML file (mappings, lists, text, numbers); aliases, repeated keys and deep nests are refused."""
    return parse_yaml(read_text(path, MAX_YAML_BYTES), str(path))[0]


def parse_yaml(text: str, where: str) -> tuple[Any, yaml.Node]:
    """The plain data of YAML text, and its nodes, which know their lines."""
    loader = None
    try:
        loader = _Loader(text)
        _check_events(text, where)
        node = loader.get_single_node()
        if node is None:
            raise InputError(f"{where}: the file is empty")
        _check_nodes(node, where)
        return loader.construct_document(node), node
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        told = ", ".join(part for part in (error.context, error.problem) if part)
        raise InputError(f"{where}{line}: not valid YAML: {printable(told, 200)}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{where}: not valid YAML: {str(error).splitlines()[0]}") from None
    except InputError:
        raise
    except (ValueError, ArithmeticError, LookupError, AttributeError, TypeError, RecursionError) as error:
        # What PyYAML's own conversions let through: numbers too long, tags that do not suit their text.
        raise InputError(f"{where}: not valid YAML: {short(error)}") from None
    finally:
        if loader is not None:
            loader.dispose()


def _check_events(text: str, where: str) -> None:
    # An alias can make a small file describe a huge value, and a deep nest exhausts the stack: both are looked for
    # in the flat stream of events, before anything is built.
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            raise InputError(
                f"{where}:{event.start_mark.line + 1}: YAML aliases (*name) are not supported, write it out"
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise InputError(f"{where}:{event.start_mark.line + 1}: nested more than {MAX_DEPTH} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if getattr(event, "tag", None) is not None:
            raise InputError(f"{where}:{event.start_mark.line + 1}: YAML tags (!name) are not supported, leave it out")


def _check_nodes(node: yaml.Node, where: str, path: str = "") -> None:
    """Refuses what YAML allows and no file of ours needs: two fields of one name, and text that a terminal would obey."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            name = _field_name(key, where)
            if name in seen:
                raise InputError(f"{where}:{key.start_mark.line + 1}: {printable(name)}: given twice, keep one")
            seen.add(name)
            _check_nodes(value, where, f"{path}.{name}" if path else name)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            _check_nodes(value, where, f"{path}[{number}]")
    elif not is_plain_line(_folded(node.value)):
        line = f"{where}:{node.start_mark.line + 1}"
        raise InputError(f"{line}: {path + ': ' if path else ''}must be plain text, got {describe(node.value)}")


def _field_name(key: yaml.Node, where: str) -> str:
    line = f"{where}:{key.start_mark.line + 1}"
    if getattr(key, "tag", "").endswith(":merge"):
        raise InputError(f"{line}: merged fields (<<) are not supported, write them out")
    if not isinstance(key, yaml.ScalarNode) or not key.tag.endswith((":str", ":int")):
        raise InputError(f"{line}: a field's name must be text")
    if not is_plain_line(_folded(key.value)):
        raise InputError(f"{line}: a field's name must be plain text, got {describe(key.value)}")
    return key.value


def _folded(text: str) -> str:
    """Running text may have line ends and tabs in it: it is printed as one paragraph."""
    return text.replace("\n", " ").replace("\t", " ")
