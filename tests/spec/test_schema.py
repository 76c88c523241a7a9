"""Values of fields: frozen, compared by their fields, copied without a check, checked however they are built."""

from __future__ import annotations

import pickle
from typing import Annotated, Literal

import pytest

from simulator.errors import InputError
from simulator.spec.figure import Figure
from simulator.spec.machine import load_hardware
from simulator.spec.model import Layer, Repeat
from simulator.spec.schema import Field, OneOf, Spec, accepts, check, rule, rule_for


class Cube(Spec):
    """One with an edge."""

    kind: Literal["cube"] = "cube"
    edge: float = Field(gt=0)


class Ball(Spec):
    """One with a radius."""

    kind: Literal["ball"] = "ball"
    radius: Annotated[float, Field(gt=0, le=9)] = 1.0


class Box(Spec):
    """Things of one colour."""

    colour: str = Field("red", alias="color", max_length=5)
    things: tuple[Annotated[Cube | Ball, OneOf()], ...] = ()
    most: int | None = Field(None, ge=1)
    _label = "none"

    @accepts
    @staticmethod
    def _only_colour(data):
        return {"color": data} if isinstance(data, str) else data

    @rule_for("colour", before=True)
    @staticmethod
    def _lower(colour):
        return colour.lower() if isinstance(colour, str) else colour

    @rule_for("things")
    @staticmethod
    def _few(things):
        if len(things) > 3:
            raise ValueError("three things at most")
        return things

    @rule
    def _room(self):
        if self.most and len(self.things) > self.most:
            raise ValueError(f"{len(self.things)} things are more than {self.most}")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"colour": "red"}, "box: colour: unknown field, did you mean color?"),
        ({"color": "violet"}, "box: color: should have at most 5 characters, got 'violet'"),
        ({"things": [{"kind": "cube", "edge": -1}]}, "box: things[0].edge: more than 0.0 is needed, got -1"),
        ({"things": [{"kind": "ball", "radius": 10}]}, "box: things[0].radius: at most 9.0 is possible, got 10"),
        ({"things": [{"kind": "cone"}]}, "box: things[0]: unknown kind 'cone', known: cube, ball"),
        ({"things": [{"kind": "cube"}]}, "box: things[0].edge: missing, this field is needed"),
        ({"things": [{"kind": "ball"}] * 4}, "box: things: three things at most"),
        ({"things": [{"kind": "ball"}] * 2, "most": 1}, "box: 2 things are more than 1"),
        ({"most": True}, "box: most: not a yes or no, got true"),
        ({"things": [3]}, "box: things[0]: a mapping of fields is needed, got 3"),
    ],
)
def test_a_mistake_is_told_by_its_field(data, told):
    """Limits of fields and of types, kinds of a union, rules for fields and for the whole."""
    with pytest.raises(InputError) as error:
        check(data, Box, "box")
    assert str(error.value) == told


def test_a_value_is_what_its_fields_are():
    """However it is written; by alias in files; parts may be given as values."""
    boxes = [
        check({"color": "RED", "things": [{"kind": "cube", "edge": "2"}]}, Box, "box"),
        Box(color="red", things=[Cube(edge=2.0)]),
        Box.model_validate({"things": [{"kind": "cube", "edge": 2}]}),
    ]
    assert len(set(boxes)) == 1
    assert boxes[0].things == (Cube(edge=2),)
    assert Box.model_validate("blue").colour == "blue"
    assert boxes[0] != Box(things=[Cube(edge=3)])
    assert Cube(edge=1) != Ball(radius=1)
    assert repr(Cube(edge=1)) == "Cube(kind='cube', edge=1.0)"


def test_whoever_builds_a_value_in_python_is_told_the_same():
    """The name of the kind stands for the file's."""
    with pytest.raises(InputError, match=r"^Cube: edge: more than 0.0 is needed, got 0$"):
        Cube(edge=0)
    with pytest.raises(InputError, match=r"^Cube: side: unknown field"):
        Cube(side=1)


def test_a_value_cannot_be_changed():
    """Neither a field nor anything else of it."""
    cube = Cube(edge=1)
    with pytest.raises(AttributeError, match="make another with model_copy"):
        cube.edge = 2
    with pytest.raises(AttributeError, match="cannot be taken away"):
        del cube.edge
    assert cube.edge == 1


def test_a_copy_is_another_value_that_is_not_checked():
    """Base units exceed what a field may hold; what was worked out from the old value is not kept."""
    cube = Cube(edge=1)
    hash(cube)
    large = cube.model_copy(update={"edge": -3.0})
    assert (cube.edge, large.edge) == (1, -3)
    assert hash(large) == hash(Cube.model_construct(edge=-3.0)) != hash(cube)
    labelled = Box().model_copy(update={"_label": "mine"})
    assert (labelled._label, Box()._label) == ("mine", "none")
    assert labelled.model_copy(update={"most": 2})._label == "mine"
    assert labelled != Box()


def test_fields_can_be_written_down():
    """Those that were given, or that are no defaults, or that are not empty, by their names in a file."""
    box = Box(things=[Ball()], color="blue")
    assert box.model_dump() == {"colour": "blue", "things": [{"kind": "ball", "radius": 1.0}], "most": None}
    assert box.model_dump(by_alias=True, exclude_unset=True) == {"color": "blue", "things": [{}]}
    assert box.model_dump(exclude_none=True).keys() == {"colour", "things"}
    assert Box(color="red", most=2).model_dump(exclude_defaults=True) == {"most": 2}
    for given in (
        box,
        Layer(ffn={"kind": "plain", "d_ff": 8}),
        Repeat(repeat=2, layers=[{"ffn": {"kind": "plain", "d_ff": 8}}]),
    ):
        assert type(given).model_validate(given.model_dump(by_alias=True, exclude_none=True)) == given


def test_a_value_comes_back_from_a_pickle():
    """With what was set beside its fields, without what was worked out."""
    pair = load_hardware("2xrtx-3090")
    hash(pair.main_memory.name)
    again = pickle.loads(pickle.dumps(pair))
    assert again == pair
    assert again.asked == 2
    figure = Figure(value=3)
    hash(figure)
    assert "_hash" not in pickle.loads(pickle.dumps(figure)).__dict__


def test_defaults_belong_to_their_value():
    """Writing into the mapping of one changes no other's; what has no default has to be given."""
    one, other = (
        load_hardware("rtx-3090").model_construct(name=name, device_class="sbc", kind="cpu", memory=()) for name in "ab"
    )
    one.traffic["triad"] = Figure(value=1)
    assert other.traffic == {}
    with pytest.raises(TypeError, match="a Cube needs edge"):
        Cube.model_construct()


def test_editors_are_told_what_a_file_may_hold():
    """As JSON schema: names as in files, and what is needed."""
    schema = Box.model_json_schema()
    assert set(schema["properties"]) == {"color", "things", "most"}
    assert {"Cube", "Ball"} <= set(schema["$defs"])


def test_kinds_are_declared_with_texts():
    """Types that are looked up when a value is checked; others would make fields of what are none."""
    with pytest.raises(TypeError, match=r"Thing\.size: annotations of kinds are texts"):
        type(Spec)("Thing", (Spec,), {"__annotations__": {"size": int}, "__module__": __name__})
