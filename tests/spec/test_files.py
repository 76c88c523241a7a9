"""The shipped device, model and runtime files: every one loads, and says where its figures come from."""

import pytest

from simulator.importers.open import load_model
from simulator.spec.figure import Figure
from simulator.spec.library import RUNTIMES, entries, names, shelf
from simulator.spec.machine import load_hardware
from simulator.spec.mixes import parse_weights
from simulator.spec.runtime import load_runtime

DEVICES, MODELS = names(shelf("hardware")), names(shelf("models"))


def test_the_shelves_are_full():
    """At least 35 devices and 45 models, the ones people ask for among them."""
    assert len(DEVICES) >= 35
    assert len(MODELS) >= 45
    assert {"pi5-16gb", "pi5-videocore7", "rtx-4090", "h100-sxm"} <= set(DEVICES)
    assert {"qwen3-30b-a3b", "mixtral-8x7b", "deepseek-v3", "gpt-oss-20b", "switch-c"} <= set(MODELS)


def test_a_device_is_found_by_its_other_names():
    """`m2-ultra` is the one of its GPU; no two files share a name."""
    assert load_hardware("M2-Ultra").name == "m2-ultra-76"
    aliases = [alias for entry in entries(shelf("hardware")) for alias in entry.aliases]
    assert len({*aliases, *DEVICES}) == len(aliases) + len(DEVICES)


def is_listed_as(folder, loaded) -> bool:
    """Whether a shelf, which reads no whole file, has the title and the other names that are in the file."""
    (entry,) = (each for each in entries(folder) if each.name == loaded.name)
    return (entry.title, entry.aliases) == (loaded.title, (*loaded.aliases, *getattr(loaded, "runs_in", ())))


def figures(device) -> dict[str, Figure]:
    """Every figure of a device by where it stands."""
    found = {f"peak {name}": figure for name, figure in device.peaks_tflops.items()}
    for level in device.memory:
        for field in ("capacity_kib", "capacity_mib", "capacity_gib", "gb_per_s", "datasheet_gb_per_s", "reserved_gib"):
            if getattr(level, field):
                found[f"{level.name} {field}"] = getattr(level, field)
        found |= {f"{level.name} {threads} threads": figure for threads, figure in level.gb_per_s_by_threads.items()}
    found |= {link.name: link.gb_per_s for link in (*device.links, *device.storage)}
    return found | ({"launch": device.launch_us} if device.launch_us else {})


@pytest.mark.parametrize("name", DEVICES)
def test_every_figure_of_a_device_has_a_source(name):
    """Each figure names a source that the file lists, an estimate says how it was made, and the name is the file's."""
    device = load_hardware(name)
    assert device.name == name
    assert device.title
    assert is_listed_as(shelf("hardware"), device)
    for where, figure in figures(device).items():
        assert figure.source in device.sources, (where, figure.source)
        assert figure.how or figure.provenance != "estimated", where


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_is_not_faster_than_its_datasheet(name):
    """What is taken as sustained never exceeds what the ceiling is made of."""
    device = load_hardware(name)
    for level in device.bandwidth_levels():
        sustained = level.sustained(device.device_class, device.threads)
        assert sustained.value <= level.ceiling_bytes_per_s() * (1 + 1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_its_published_size(name):
    """Total and active counts equal the published ones within 0.5 %, 1 % where those are rounded.

    Where a printed count fits no convention, the file states by how much ours differs, and that is checked instead.
    """
    model = load_model(name).model
    assert model.name == name
    assert model.sources
    assert is_listed_as(shelf("models"), model)
    published = model.published
    assert published.total_params_b, "every shipped model carries a published total"
    counts = {published.total_params_b: model.total_params}
    if published.active_params_b:
        assert published.active_params_b.counts, "an active count needs its convention"
        counts[published.active_params_b] = model.active_params(published.active_params_b.counts)
    for count, ours in counts.items():
        assert count.source
        tolerance = 0.01 if count.rounded else 0.005
        assert abs(ours / 1e9 / count.value - 1 - count.deviation) <= tolerance, (ours, count)


def test_a_stated_deviation_is_rare_and_explained():
    """Few published counts fit no convention; those files have notes."""
    odd = []
    for name in MODELS:
        model = load_model(name).model
        found = (model.published.total_params_b, model.published.active_params_b)
        if any(count and count.deviation for count in found):
            odd.append(name)
            assert model.notes, name
    assert len(odd) <= len(MODELS) / 4, odd


@pytest.mark.parametrize("name", names(RUNTIMES))
def test_every_share_of_a_runtime_has_a_source(name):
    """Shares and costs name a source that the file lists, and its default formats exist."""
    runtime = load_runtime(name)
    assert runtime.name == name
    assert is_listed_as(RUNTIMES, runtime)
    for weights in (*runtime.weights, *runtime.native_weights.values()):
        parse_weights(weights)
    for figure in figures_of(runtime):
        assert figure.source in runtime.sources, figure
        assert figure.how or figure.provenance != "estimated", figure


def figures_of(runtime):
    """Every figure that a runtime's file gives."""
    yield from (*runtime.launches.values(), *runtime.step_us.values())
    for backend in runtime.backends.values():
        single = (backend.expert_share, backend.launch_us, backend.launch_share, backend.step_us)
        yield from filter(None, (*backend.bandwidth_share.values(), *backend.peak_share.values(), *single))


@pytest.mark.parametrize("name", names(RUNTIMES))
def test_rules_of_a_cache_have_a_source(name):
    """Which the file lists; without one a cache is kept as the architecture allows."""
    runtime = load_runtime(name)
    rules = runtime.cache_rules
    assert bool(rules.sources) == (rules != type(rules)())
    assert set(rules.sources) <= set(runtime.sources)
