"""What pydantic finds wrong with a file, in sentences for whoever wrote the file: line, field, value, remedy."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any

from simulator.errors import describe, hint
from simulator.units import counted

if TYPE_CHECKING:
    import yaml
    from pydantic import ValidationError

MAX_SHOWN = 5  # messages printed for one file


def told(error: ValidationError, data: Any, where: str, node: yaml.Node | None, kind: type) -> list[str]:
    """Every mistake of a file's *data*, which should have been of a *kind*, in a line of its own."""
    # A union's inner mistakes come with the union's tag in the path; a field is reported once.
    causes = _causes(error.errors(include_url=False))
    first = [_sentence(each, data, where, node, kind) for each in causes[: 4 * MAX_SHOWN]]
    messages = list(dict.fromkeys(first))
    if len(messages) > MAX_SHOWN:
        messages = [*messages[:MAX_SHOWN], f"{where}: {counted(len(causes) - MAX_SHOWN, 'more mistake')}"]
    return messages


def _causes(errors: list[dict]) -> list[dict]:
    """Without those that only follow from another: a list is short because one of its items is wrong."""
    return [
        each
        for each in errors
        if each["type"] != "too_short"
        or not any(other is not each and other["loc"][: len(each["loc"])] == each["loc"] for other in errors)
    ]


# pydantic's words are for programmers; these are for whoever wrote the file.
_NEEDED = {
    "model_type": "a mapping of fields is needed",
    "model_attributes_type": "a mapping of fields is needed",
    "dict_type": "a mapping of fields is needed",
    "tuple_type": "a list is needed, one item a line after a dash",
    "int_parsing": "a whole number is needed",
    "int_type": "a whole number is needed",
    "int_from_float": "a whole number is needed",
    "int_parsing_size": "the number is far too large",
    "float_parsing": "a number is needed",
    "float_type": "a number is needed",
    "finite_number": "a finite number is needed",
    "string_type": "text is needed",
    "bool_parsing": "true or false is needed",
    "bool_type": "true or false is needed",
}


def _sentence(error: dict, data: Any, where: str, node: yaml.Node | None, kind_of_file: type) -> str:
    path, found = _field_path(error["loc"], data, error["type"] == "missing")
    context, kind = error.get("ctx") or {}, error["type"]
    if kind == "unknown_field":
        path, problem = [*path, context["key"]], ", ".join(part for part in ("unknown field", context["hint"]) if part)
    elif kind == "unwanted_bool":
        path, problem = [*path, context["key"]], f"not a yes or no, got {context['value']}"
    elif kind == "unprintable":
        path, problem = [*path, context["key"]], f"must be plain text, got {context['value']}"
    elif kind == "missing":
        problem = "missing, this field is needed"
    elif kind in ("union_tag_invalid", "union_tag_not_found"):
        problem = _tag_problem(error, found, _kinds_at(kind_of_file, path))
    elif kind == "value_error":
        problem = str(context.get("error", error["msg"]))
    else:
        problem = f"{_NEEDED.get(kind) or _plain(kind, error['msg'], context)}, got {describe(error['input'])}"
    line = line_of(node, path)
    field = _join(path)
    return f"{where}{f':{line}' if line else ''}: {field + ': ' if field else ''}{problem}"


def _tag_problem(error: dict, found: Any, kinds: list[str]) -> str:
    if error["type"] == "union_tag_not_found":
        known = f" ({', '.join(kinds)})" if kinds else ""
        return (
            f"kind is missing{known}"
            if isinstance(found, dict)
            else f"a mapping with a kind is needed{known}, got {describe(found)}"
        )
    tag = error["ctx"].get("tag")
    return f"unknown kind {describe(tag)}, {hint(tag, kinds)}"


def _kinds_at(file: type, path: list) -> list[str]:
    """The kinds that the field at *path* can have, from the types of the fields on the way to it."""
    types: list = [file]
    for step in path:
        if isinstance(step, str):
            fields = [typing.get_type_hints(each).get(step) for each in types]
            types = [each for field in fields for each in _specs_in(field)]
    return [each.model_fields["kind"].default for each in types if "kind" in each.model_fields]


def _specs_in(annotation: Any) -> list[type]:
    if hasattr(annotation, "model_fields"):
        return [annotation]
    return [each for part in typing.get_args(annotation) for each in _specs_in(part)]


_BOUNDS = {"greater_than_equal": ("at least", "ge"), "less_than_equal": ("at most", "le"), "less_than": ("less than", "lt"),
           "greater_than": ("more than", "gt")}  # fmt: skip


def _plain(kind: str, message: str, context: dict) -> str:
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return f"{words} {context[key]:,} is {'needed' if key in ('ge', 'gt') else 'possible'}"
    if kind == "literal_error":
        return f"one of {context['expected'].replace(' or ', ', ')} is needed"
    if kind == "too_short":
        limit = context["min_length"]
        return f"at least {limit:,} {'item is' if limit == 1 else 'items are'} needed"
    if kind == "too_long":
        return f"at most {counted(context['max_length'], 'item')} can be given"
    message = message.removeprefix("Input ").removeprefix("String ")
    return message[:1].lower() + message[1:]


def _field_path(loc: tuple, data: Any, missing: bool) -> tuple[list, Any]:
    # pydantic's location holds the tags of unions beside the fields; what is not in the data is a tag,
    # unless it is the last step of a missing field.
    path: list = []
    for position, step in enumerate(loc):
        inside = (isinstance(data, dict) and step in data) or (
            isinstance(data, list) and isinstance(step, int) and step < len(data)
        )
        if inside:
            path.append(step)
            data = data[step]
        elif missing and position == len(loc) - 1:
            path.append(step)
    return path, data


def _join(path: list) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def line_of(node: yaml.Node | None, path: list) -> int | None:
    """The line in its file of the field at *path*, or of what is there on the way to it; None without nodes."""
    if node is None:
        return None
    line = node.start_mark.line + 1
    for step in path:
        child = None
        if node.id == "mapping":
            for key, value in node.value:
                if getattr(key, "value", None) == str(step):
                    line, child = key.start_mark.line + 1, value
        elif node.id == "sequence" and isinstance(step, int) and step < len(node.value):
            child = node.value[step]
            line = child.start_mark.line + 1
        if child is None:
            return line
        node = child
    return line
