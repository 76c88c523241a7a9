"""Fields of a file as typed, frozen values: how a kind of value declares its fields, their limits and what must hold of them.

A kind is a class of annotated fields, as in

    class Link(Spec):
        name: str = Field(min_length=1)
        gb_per_s: Figure

What checks them is a pydantic model with the same fields, which is built when the first value has to be checked: importing and
building those takes longer than a forecast, and shipped files have been checked before (see `shipped`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar, Union

from simulator.errors import InputError, describe, hint, is_plain_line, printable
from simulator.spec import mistakes

if TYPE_CHECKING:
    import yaml
    from pydantic import BaseModel

T = TypeVar("T", bound="Spec")

_NEEDED = object()  # the default of a field that has none


class Field:
    """The default of a field, its limits as pydantic calls them (ge, lt, min_length, pattern ...), and its name in files.

    In `Annotated[int, Field(ge=1)]` it limits a type, without a default.
    """

    def __init__(self, default: Any = _NEEDED, *, alias: str = "", **limits: Any):
        self.default, self.alias, self.limits = default, alias, limits

    @property
    def is_needed(self) -> bool:
        """Whether a file has to give it."""
        return self.default is _NEEDED

    def own_default(self, kind: str, name: str) -> Any:
        """The default for one more value, which may hold it as its own; TypeError where there is none."""
        if self.is_needed:
            raise TypeError(f"a {kind} needs {name}")
        return self.default.copy() if isinstance(self.default, dict) else self.default

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        import pydantic

        return handler.generate_schema(Annotated[source, pydantic.Field(**self.limits)])


class OneOf:
    """Marks a union whose member is told by the field *kind* of each, or by *tag_of*, given a name of each member."""

    def __init__(self, tag_of: Callable[[Any], str] | None = None, **members: type[Spec]):
        self.tag_of, self.members = tag_of, members

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        import pydantic

        if self.tag_of is None:
            return handler.generate_schema(Annotated[source, pydantic.Field(discriminator="kind")])
        # Tags that no field could have as its name, so that messages can leave them out.
        tagged = [Annotated[kind, pydantic.Tag(f"<{name}>")] for name, kind in self.members.items()]
        told = pydantic.Discriminator(lambda given: f"<{self.tag_of(given)}>")
        return handler.generate_schema(Annotated[Union[tuple(tagged)], told])  # noqa: UP007 - of a list


def rule(check: Callable[[Any], None]) -> Callable[[Any], None]:
    """Marks a method that raises ValueError where a whole value cannot be."""
    check._holds_for = "value"
    return check


def rule_for(*fields: str, before: bool = False) -> Callable[[staticmethod], staticmethod]:
    """Marks a static method that takes what is given for any of *fields* and returns it, or raises ValueError.

    It gets typed values, or with *before* what stands in the file.
    """

    def mark(check: staticmethod) -> staticmethod:
        check.__func__._holds_for = (fields, before)
        return check

    return mark


def accepts(convert: staticmethod) -> staticmethod:
    """Marks a static method that turns another way of writing a value into its fields, or raises ValueError."""
    convert.__func__._holds_for = "data"
    return convert


class _Kind(type):
    """Makes a class of annotated fields a kind of value, which is checked wherever somebody builds one."""

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
        fields = {key: field for base in reversed(bases) for key, field in getattr(base, "model_fields", {}).items()}
        for key, annotation in body.get("__annotations__", {}).items():
            if not isinstance(annotation, str):
                raise TypeError(f"{name}.{key}: annotations of kinds are texts (from __future__ import annotations)")
            if not key.startswith("_") and not annotation.startswith("ClassVar"):
                given = body.pop(key, _NEEDED)
                fields[key] = given if isinstance(given, Field) else Field(given)
        marked = {key: getattr(getattr(each, "__func__", each), "_holds_for", None) for key, each in body.items()}
        kind = super().__new__(cls, name, bases, body)
        kind.model_fields = fields
        worked_out = {key for key, each in body.items() if isinstance(each, cached_property)}
        kind._worked_out = getattr(kind, "_worked_out", frozenset()) | worked_out
        kind._marked = {**getattr(kind, "_marked", {}), **{key: mark for key, mark in marked.items() if mark}}
        return kind

    def __call__(cls, **fields: Any) -> Any:
        return cls.model_validate(fields)


class Spec(metaclass=_Kind):
    """A frozen value with checked fields; an unknown field is refused with the nearest known one."""

    model_fields: ClassVar[dict[str, Field]]

    @classmethod
    def model_validate(cls, data: Any) -> Self:
        """A value of fields as they stand in a file, or InputError in the sentences that a file's author would read."""
        return _checked(data, cls, cls.__name__)

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        """What a file of such fields may hold, as JSON schema, by which editors help whoever writes one."""
        return _checker(cls).json_schema()

    @classmethod
    def model_construct(cls, **fields: Any) -> Self:
        """A value of fields that are known to be right: nothing is checked."""
        return cls._of(fields, fields.keys())

    @classmethod
    def _of(cls, fields: dict[str, Any], given: Any) -> Self:
        value = object.__new__(cls)
        own = value.__dict__
        for name, field in cls.model_fields.items():
            own[name] = fields[name] if name in fields else field.own_default(cls.__name__, name)
        own["_given"] = frozenset(given)
        return value

    @property
    def given(self) -> frozenset[str]:
        """The fields that its file, or whoever built it, told."""
        return self._given

    def model_copy(self, *, update: Mapping[str, Any] = MappingProxyType({})) -> Self:
        """The same value with some fields changed, which are not checked."""
        value = object.__new__(type(self))
        own = value.__dict__
        own.update(self.__getstate__())
        own.update(update)
        own["_given"] = self._given | update.keys()
        return value

    def model_dump(
        self,
        *,
        by_alias: bool = False,
        exclude_unset: bool = False,
        exclude_none: bool = False,
        exclude_defaults: bool = False,
    ) -> dict[str, Any]:
        """Its fields as plain data: lists and mappings of numbers and text.

        By their names in files, or without those that nobody gave, that are None or that are as by default, where that is asked.
        """
        chosen = {"by_alias": by_alias, "exclude_unset": exclude_unset, "exclude_none": exclude_none,
                  "exclude_defaults": exclude_defaults}  # fmt: skip
        found = {}
        for name, field in self.model_fields.items():
            value = self.__dict__[name]
            is_left_out = (
                (exclude_unset and name not in self._given)
                or (exclude_none and value is None)
                or (exclude_defaults and value == field.default)
            )
            if not is_left_out:
                found[field.alias if by_alias and field.alias else name] = _plain(value, chosen)
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{name} of a {type(self).__name__} cannot be changed, make another with model_copy")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{name} of a {type(self).__name__} cannot be taken away")

    def __getstate__(self) -> dict[str, Any]:
        """What makes it up, without what was worked out from that."""
        own = self.__dict__.copy()
        for name in self._worked_out:
            own.pop(name, None)
        return own

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self is other or self._compared() == other._compared()

    def _compared(self) -> dict[str, Any]:
        return self.__getstate__() | {"_given": None}

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(self.__dict__[name] for name in self.model_fields))

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={self.__dict__[name]!r}' for name in self.model_fields)})"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        convert, rules = _marked(cls, "data"), _marked(cls, "value")

        def read(data: Any, checked: Callable[[Any], BaseModel]) -> Spec:
            if isinstance(data, cls):
                return data
            for each in convert:
                data = each(data)
            fields = checked(data)
            value = cls._of(fields.__dict__, fields.model_fields_set)
            for each in rules:
                each(value)
            return value

        return core_schema.no_info_wrap_validator_function(read, handler.generate_schema(_model_of(cls)))


def _plain(value: Any, chosen: dict[str, bool]) -> Any:
    if isinstance(value, Spec):
        return value.model_dump(**chosen)
    if isinstance(value, dict):
        return {key: _plain(each, chosen) for key, each in value.items()}
    return [_plain(each, chosen) for each in value] if isinstance(value, list | tuple) else value


def _marked(kind: type[Spec], mark: str) -> list[Callable]:
    return [getattr(kind, name) for name, each in kind._marked.items() if each == mark]


# ---- checking ----


def check(data: Any, kind: type[T], where: str, node: yaml.Node | None = None) -> T:
    """*data* as a value of *kind*; mistakes are told with *where* (a file) and, given its YAML *node*, each with its line.

    Of data that nobody wrote as it is, such as what a config.json comes to, the first is told.
    """
    if not isinstance(data, dict):
        raise InputError(f"{where}: expected fields such as name: ..., found {describe(data)}")
    return _checked(data, kind, where, node)


def _checked(data: Any, kind: type[T], where: str, node: yaml.Node | None = None) -> T:
    from pydantic import ValidationError

    try:
        return _checker(kind).validate_python(data)
    except ValidationError as error:
        lines = mistakes.told(error, data, where, node, kind)
        raise InputError(*(lines if node else lines[:1])) from None
    except RecursionError:
        raise InputError(f"{where}: nested too deeply") from None


@cache
def _checker(kind: type[Spec]) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


@cache
def _model_of(kind: type[Spec]) -> type[BaseModel]:
    """The pydantic model that checks the fields of a kind."""
    import typing

    import pydantic

    types = typing.get_type_hints(kind, include_extras=True)
    fields = {name: (types[name], _as_pydantic(field)) for name, field in kind.model_fields.items()}
    truths = {name for name in fields if types[name] is bool}
    checks: dict[str, Any] = {"_refuse_unknown_fields": _refuse_unknown(kind, truths)}
    for name, mark in kind._marked.items():
        if isinstance(mark, tuple):
            names, before = mark
            mode = "before" if before else "after"
            checks[name] = pydantic.field_validator(*names, mode=mode)(getattr(kind, name))
    config = pydantic.ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=())
    return pydantic.create_model(kind.__name__, __config__=config, __validators__=checks, **fields)


def _as_pydantic(field: Field) -> Any:
    import pydantic

    limits = field.limits | ({"alias": field.alias} if field.alias else {})
    return pydantic.Field(... if field.is_needed else field.default, **limits)


def _refuse_unknown(kind: type[Spec], truths: set[str]) -> Any:
    import pydantic
    from pydantic_core import PydanticCustomError

    known = [field.alias or name for name, field in kind.model_fields.items()]

    def refuse(data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        for key, value in data.items():
            if key not in known:
                raise PydanticCustomError("unknown_field", "{hint}", {"key": printable(key), "hint": hint(key, known)})
            if isinstance(value, bool) and key in kind.model_fields and key not in truths:
                # Python counts true as 1; in a file it is a slip.
                raise PydanticCustomError("unwanted_bool", "", {"key": str(key), "value": describe(value)})
            text = value if key in ("name", "title") else _in_one_line(value)
            if isinstance(text, str) and not is_plain_line(text):
                raise PydanticCustomError("unprintable", "", {"key": str(key), "value": describe(value)})
        return {key: _in_one_line(value) for key, value in data.items()}

    return pydantic.model_validator(mode="before")(refuse)


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
