"""Fields of a file as typed, frozen values; every mistake is told by file, line and field."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from simulator.errors import InputError, describe, hint, is_plain_line, printable
from simulator.spec.textfiles import MAX_YAML_BYTES, parse_yaml, read_text
from simulator.units import counted

MAX_SHOWN = 5  # messages printed for one file

T = TypeVar("T", bound=BaseModel)


class _Telling(type(BaseModel)):
    """Makes whoever builds a value in Python read the same sentences as whoever writes a file."""

    def __call__(cls, **fields: Any) -> Any:
        try:
            return super().__call__(**fields)
        except ValidationError as error:
            raise InputError(_told(error, fields, cls.__name__, None, cls)) from None


class Spec(BaseModel, metaclass=_Telling):
    """A frozen value read from a file; an unknown field is refused with the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_fields(cls, data: Any) -> Any:
        if isinstance(data, dict):
            known = [field.alias or name for name, field in cls.model_fields.items()]
            for key, value in data.items():
                if key not in known:
                    raise PydanticCustomError(
                        "unknown_field", "{hint}", {"key": printable(key), "hint": hint(key, known)}
                    )
                field = cls.model_fields.get(key)
                if isinstance(value, bool) and field is not None and field.annotation is not bool:
                    # Python counts true as 1; in a file it is a slip.
                    raise PydanticCustomError("unwanted_bool", "", {"key": str(key), "value": describe(value)})
                text = value if key in ("name", "title") else _in_one_line(value)
                if isinstance(text, str) and not is_plain_line(text):
                    raise PydanticCustomError("unprintable", "", {"key": str(key), "value": describe(value)})
            return {key: _in_one_line(value) for key, value in data.items()}
        return data


_LINE_END = re.compile(r"[ \t]*[\n\t][ \t\n]*")


def _in_one_line(value: Any) -> Any:
    """A text as it is printed, and so those of a list or a mapping: line ends and tabs of a file are spaces between words."""
    if isinstance(value, str):
        return _LINE_END.sub(" ", value).strip(" ")
    if isinstance(value, list):
        return [_in_one_line(each) if isinstance(each, str) else each for each in value]
    if isinstance(value, dict):
        return {key: _in_one_line(each) if isinstance(each, str) else each for key, each in value.items()}
    return value


# Fields by which a file of another sort is recognised, and what it is.
_MARKS = {"layers": "a model", "memory": "a hardware", "backends": "a runtime"}


def load_spec(path: Path, kind: type[T]) -> T:
    """The YAML file at *path* as a value of *kind*."""
    data, node = parse_yaml(read_text(path, MAX_YAML_BYTES), str(path))
    if isinstance(data, dict):
        for mark, sort in _MARKS.items():
            if mark in data and mark not in kind.model_fields:
                raise InputError(f"{path}: this is {sort} file, {kind.__name__.lower()} fields are needed here")
    return check(data, kind, str(path), node)


def check(data: Any, kind: type[T], where: str, node: yaml.Node | None = None) -> T:
    """*data* as a value of *kind*; mistakes are told with *where* (a file) and, given its YAML *node*, the line."""
    if not isinstance(data, dict):
        raise InputError(f"{where}: expected fields such as name: ..., found {describe(data)}")
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise InputError(_told(error, data, where, node, kind)) from None
    except RecursionError:
        raise InputError(f"{where}: nested too deeply") from None


def _told(error: ValidationError, data: Any, where: str, node: yaml.Node | None, kind: type[Spec]) -> str:
    # A union's inner mistakes come with the union's tag in the path; a field is reported once.
    causes = _causes(error.errors(include_url=False))
    first = [_sentence(each, data, where, node, kind) for each in causes[: 4 * MAX_SHOWN]]
    messages = list(dict.fromkeys(first))
    if len(messages) > MAX_SHOWN:
        messages = [*messages[:MAX_SHOWN], f"{where}: {counted(len(causes) - MAX_SHOWN, 'more mistake')}"]
    return "\n".join(messages)


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


def _sentence(error: dict, data: Any, where: str, node: yaml.Node | None, kind_of_file: type[Spec]) -> str:
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
    line = _line_of(node, path)
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


def _kinds_at(file: type[Spec], path: list) -> list[str]:
    """The kinds that the field at *path* can have, from the types of the fields on the way to it."""
    types: list = [file]
    for step in path:
        if isinstance(step, str):
            fields = [each.model_fields[step] for each in types if step in each.model_fields]
            types = [each for field in fields for each in _specs_in(field.annotation)]
    return [each.model_fields["kind"].default for each in types if "kind" in each.model_fields]


def _specs_in(annotation: Any) -> list[type[Spec]]:
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return [annotation]
    return [each for part in get_args(annotation) for each in _specs_in(part)]


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


def _line_of(node: yaml.Node | None, path: list) -> int | None:
    if node is None:
        return None
    line = node.start_mark.line + 1
    for step in path:
        child = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if getattr(key, "value", None) == str(step):
                    line, child = key.start_mark.line + 1, value
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            child = node.value[step]
            line = child.start_mark.line + 1
        if child is None:
            return line
        node = child
    return line
