"""A runtime that runs another one's kernels: what its file leaves out holds as there."""

import re

import pytest

from simulator import InputError, load_hardware, load_runtime
from simulator.spec.library import RUNTIMES, names

FILE = """
name: around
like: llama.cpp
sources: {own: a test}
step_us:
  cpu: {value: 250, provenance: estimated, source: own, how: a test}
weights: [q8_0]
notes: its own
"""

OF_ENGINE = """
name: around
like: roofcast
backends:
  cpu: {step_us: 250}
weights: [q8_0]
"""


@pytest.fixture
def around(tmp_path):
    """Loads a file as FILE with some text of it replaced."""

    def load(old: str = "", new: str = ""):
        path = tmp_path / "around.yaml"
        path.write_text(FILE.replace(old, new))
        return load_runtime(path)

    return load


def test_what_is_left_out_is_as_in_the_other(around):
    """What a step costs is its own; kernels, APIs and all else are llama.cpp's."""
    own, base = around(), load_runtime("llama.cpp")
    assert own.step_us["cpu"].value == 250
    assert (own.apis, own.launches, own.loads, own.cache_rules, own.split) == (
        base.apis,
        base.launches,
        base.loads,
        base.cache_rules,
        base.split,
    )
    assert own.sources.items() > base.sources.items()
    place = own.place(load_hardware("pi5-16gb"))
    assert (place.kernels, place.program, place.step_s) == ("llama.cpp", "around", pytest.approx(250e-6))


def test_one_field_of_a_backend_can_be_its_own(around):
    """Where the other has backends: the rest of that backend and the others stay."""
    own, base = around(FILE, OF_ENGINE), load_runtime("roofcast")
    cpu = own.backends["cpu"]
    assert (cpu.step_us.value, base.backends["cpu"].step_us) == (250, None)
    assert cpu.arithmetic == base.backends["cpu"].arithmetic
    assert own.backends.keys() == base.backends.keys()


def test_what_only_the_other_is_called_or_measured_by_is_not_taken(around):
    """Names, commands and notes are of one runtime alone."""
    own = around()
    assert (own.name, own.title, own.aliases, own.nearest_to, own.check, own.notes) == (
        "around",
        "",
        (),
        (),
        "",
        "its own",
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("like: llama.cpp", "like: llamacp", "like: llamacp: there is no such runtime, did you mean llama.cpp"),
        ("name: around", "name: llama.cpp", "like: llama.cpp: there is no such runtime"),
        (FILE, OF_ENGINE.replace("cpu:", "cpus:"), "backends: roofcast has no backend cpus, did you mean cpu"),
        (FILE, OF_ENGINE.replace("roofcast", "llama.cpp"), "backends: llama.cpp has none, its kernels are known"),
        (FILE, OF_ENGINE.replace("like: roofcast\n", ""), None),
        (
            "step_us:",
            "apis: {nvidia: [cuda, vulkn]}\nstep_us:",
            "apis: vulkn: there is no such API, did you mean vulkan",
        ),
        ("step_us:", "apis: {cpu: [cpu]}\nbackends: {cpu: {}}\nstep_us:", "apis, backends: one of them"),
        (FILE, "name: bare\nbackends: {}\nweights: [q8_0]\n", "at least one is needed, or like: RUNTIME"),
    ],
)
def test_likeness_to_nothing_is_refused(around, old, new, message):
    """A runtime that there is not, itself, a backend that the other has not, or none at all; without `like` a file stands alone."""
    if message is None:
        assert around(old, new).backends.keys() == {"cpu"}
        return
    with pytest.raises(InputError, match=re.escape(message)):
        around(old, new)


def test_shipped_runtimes_are_like_one_that_is_itself():
    """No file leans on one that leans on another."""
    others = {load_runtime(name).like for name in names(RUNTIMES)} - {""}
    assert others
    assert not any(load_runtime(name).like for name in others)
