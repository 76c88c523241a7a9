"""What was timed, as a hardware file: for machines of all sorts, from made-up readings."""

import re
from dataclasses import replace
from datetime import datetime
from statistics import NormalDist

import pytest
import yaml
from readings import HOSTS, PI5, SERVER, bytes_per_s, readings_of, timed

from simulator.commands.hardware_file import to_yaml
from simulator.forecast.ops import WORK
from simulator.forecast.scenario import scenario
from simulator.machine.host import Cache, Host
from simulator.probe.clock import Sample
from simulator.probe.describe import NOISY, hardware_fields, identity, noise_of, rate, without_slow_caches
from simulator.probe.kernels import MATRIX_BYTES, PIECE_BYTES, whole_panels
from simulator.probe.parts import QUERIES
from simulator.report.profile import print_profile
from simulator.spec.hardware import Hardware, load_hardware
from simulator.spec.schema import check
from simulator.units import GI, GIGA, KI, MI, format_capacity

WHEN = datetime(2026, 11, 23, 4, 5)


def described(host, **how):
    """The fields of a host's file."""
    return hardware_fields(readings_of(host, **how), "mine", WHEN)


def notes_of(host, **how):
    """What is remarked on in a host's file."""
    return described(host, **how)["runs"][-1]["notes"]


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("name", HOSTS)
def test_a_machine_is_written_read_and_forecast_with(name, quick, tmp_path, capsys):
    """Its YAML is the same device again; a small model, given the memory, decodes on it below its ceiling with one thread and with all."""
    fields = described(HOSTS[name], quick=quick)
    path = tmp_path / "mine.yaml"
    path.write_text(to_yaml(fields), encoding="utf-8")
    hardware = load_hardware(path)
    assert hardware == check(fields, Hardware, "mine")
    print_profile(hardware, "mine.yaml")
    assert "next: roofcast simulate" in capsys.readouterr().out
    for threads in (1, hardware.threads):
        for batch in (1, 16):
            point = scenario("smollm2-135m", str(path), runtime="roofcast", weights="q8_0", threads=threads).at(
                batch, 512
            )
            assert 0.1 < batch / float(point.seconds_given_memory) < 10_000
            assert not point.fits or float(point.tokens_per_s) <= float(point.tokens_per_s_ceiling)


def test_figures_are_those_of_the_formula():
    """A Pi 5 of 20 GB/s * 4 / 5 from memory, 200 Gop/s a thread in int8, and so on; the best is two and a half spreads better."""
    data = described(PI5, quick=False, noise=0.02)
    main = data["memory"][-1]
    assert main["gb_per_s"]["value"] == 16
    assert {n: figure["value"] for n, figure in main["gb_per_s_by_threads"].items()} == {1: 10, 2: 13.33, 3: 15, 4: 16}
    assert main["gb_per_s"]["spread"] == 0.02
    assert main["gb_per_s"]["count"] == 5
    assert main["gb_per_s"]["best"] == pytest.approx(16 * 2.718281828 ** (1.2816 * 0.02), abs=0.005)
    assert data["peaks_tflops"]["int8"]["value"] == 0.8
    assert {n: figure["value"] for n, figure in data["peaks_tflops_by_threads"]["f32"].items()} == {
        1: 0.05, 2: 0.1, 3: 0.15, 4: 0.2,
    }  # fmt: skip
    assert data["storage"][0]["gb_per_s"]["value"] == 0.1342  # 64 MiB in half a second
    assert data["traffic"]["copy 4 threads"]["value"] == pytest.approx(16 * 0.9, abs=0.01)
    assert data["traffic"]["random 64 B"]["value"] == pytest.approx(20 * 64 / 1064, abs=0.001)


def test_caches_are_those_that_the_system_tells():
    """All cores' together, each read at a size between it and the one before: 256 KiB, and 2 MiB of L2 and of L3."""
    memory = described(PI5)["memory"]
    assert [level["name"] for level in memory] == ["L1 data", "L2", "L3", "LPDDR4X"]
    assert memory[0]["capacity_kib"]["value"] == 256
    assert memory[0]["capacity_kib"]["how"] == "4 x 64 KiB, as the system says"
    assert memory[1]["capacity_mib"]["value"] == memory[2]["capacity_mib"]["value"] == 2
    assert memory[0]["gb_per_s"]["value"] == 400  # of all four; a single thread has a quarter of the cache, too
    assert memory[1]["gb_per_s"]["value"] == 240
    assert memory[3]["capacity_gib"]["value"] == 8
    assert memory[3]["reserved_gib"]["value"] == 1


def test_memory_in_use_is_reserved_however_much_it_is():
    """924 of 1024 MiB."""
    assert described(HOSTS["nearly full"])["memory"][-1]["reserved_gib"]["value"] == pytest.approx(924 / 1024, abs=1e-3)
    assert "reserved_gib" not in described(Host(n_threads=1, memory_bytes=GI))["memory"][-1]


def test_threads_have_the_caches_of_their_own_cores():
    """Two of eight threads fill two L1 of 32 KiB, two L2, and the L3 that all share."""
    memory = described(HOSTS["quota"])["memory"]
    assert memory[0]["capacity_kib"]["value"] == 64
    assert memory[1]["capacity_mib"]["value"] == 2
    assert memory[2]["capacity_mib"]["value"] == 32
    assert notes_of(HOSTS["quota"]) == [
        "a control group allows 2.5 of 8 hardware threads: measure with at most 2"
    ]  # and none on caches


def test_caches_of_one_level_are_one():
    """A hybrid processor's large and small cores: 6 x 48 and 8 x 32 KiB are 544."""
    memory = described(HOSTS["hybrid"])["memory"]
    assert [level["name"] for level in memory] == ["L1 data", "L2", "L3", "memory"]
    assert memory[0]["capacity_kib"]["value"] == 544
    assert memory[0]["capacity_kib"]["how"] == "6 x 48 KiB, 8 x 32 KiB, as the system says"


def test_caches_that_are_not_told_are_read_off_the_curve():
    """A machine that says nothing, with a Zen 4's caches: three of them, each within a factor of 1.5."""
    silent = replace(HOSTS["unknown"], memory_bytes=8 * GI, available_bytes=7 * GI)
    seen = replace(silent, caches=(Cache("L1 data", 32 * KI, 2), Cache("L2", MI, 2), Cache("L3", 16 * MI, 1)))
    memory = described(silent, seen=seen)["memory"]
    assert [level["name"] for level in memory] == ["cache 1", "cache 2", "cache 3", "memory"]
    hardware = check(described(silent, seen=seen), Hardware, "mine")
    for level, nbytes in zip(hardware.memory, (64 * KI, 2 * MI, 16 * MI), strict=False):
        assert 1 / 1.5 < level.capacity_bytes / nbytes < 1.5
    assert "read off the curve" in memory[0]["capacity_kib"]["how"]


def test_an_unknown_machine_still_has_a_memory():
    """Twice what was read of it, and nothing is said of its caches, cores or name."""
    data = described(HOSTS["unknown"])
    assert data["memory"][-1]["capacity_gib"]["value"] == 0.0625
    assert not {"vendor", "cores", "description"} & set(data)
    assert data["title"] == "unknown processor, 2 cores"


def test_caches_larger_than_what_was_read_are_left_out():
    """An L3 of 32 MiB where only 12.5 MiB could be read: neither a level nor a remark."""
    host = Host(n_threads=1, available_bytes=100 * MI, caches=(Cache("L1 data", 32 * KI, 1), Cache("L3", 32 * MI, 1)))
    data = described(host)
    assert [level["name"] for level in data["memory"]] == ["L1 data", "memory"]
    assert data["runs"][-1]["notes"] == []


@pytest.mark.parametrize("name", ["pi5", "server", "hybrid", "one core", "small"])
def test_nothing_is_remarked_where_all_is_well(name):
    """Caches where the system says, figures that scatter little."""
    assert notes_of(HOSTS[name]) == []


def test_caches_found_elsewhere_are_remarked_on():
    """The system says 2 MiB of L2 in all, the machine slows down at half a MiB; L1 and L3 are as told."""
    told = Host(n_threads=2, memory_bytes=8 * GI, caches=(
        Cache("L1 data", 16 * KI, 2), Cache("L2", MI, 2), Cache("L3", 16 * MI, 1)))  # fmt: skip
    seen = replace(told, caches=(told.caches[0], Cache("L2", 256 * KI, 2), told.caches[2]))
    (note,) = notes_of(told, seen=seen)
    level = described(told, seen=seen)["memory"][1]
    assert (level["name"], level["capacity_kib"]["how"]) == ("L2", "where reading gets slower; the system says 2 MiB")
    nbytes = level["capacity_kib"]["value"] * KI
    assert (
        note == f"L2: the system says 2 x 1 MiB, reading slows down from {format_capacity(nbytes)} on, which is taken"
    )
    assert 1 / 1.5 < nbytes / (512 * KI) < 1.5


def test_all_sizes_are_printed_in_binary_units_and_all_speeds_with_theirs(capsys):
    """What caches and memory hold, 256 KiB of four L1 together, and how fast blocks are read."""
    print_profile(check(described(PI5), Hardware, "mine"), "mine.yaml")
    said = capsys.readouterr().out
    assert re.search("read +holds together", said)
    for line in (
        "L1 data +256 KiB ",
        "L2 +2 MiB ",
        "LPDDR4X +8 GiB ",
        "in random blocks, GB/s: of 64 B 1.20, .*, 1 KiB 10.1",
    ):
        assert re.search(line, said), line
    assert not re.search("[0-9] [kMG]B( |$)", said.split("disk:")[0], re.MULTILINE)


def test_caches_that_are_not_felt_are_remarked_on():
    """Told of 16 MiB of L3, as in a virtual machine that is given less."""
    told = Host(n_threads=2, memory_bytes=8 * GI, caches=(Cache("L2", 256 * KI, 2), Cache("L3", 16 * MI, 1)))
    seen = replace(told, caches=told.caches[:1])
    assert notes_of(told, seen=seen) == [
        "L3: the system says 1 x 16 MiB, the curve shows no step there: the size is the one that the system says"
    ]


@pytest.mark.parametrize(
    ("noise", "is_told"), [(0.0, False), (NOISY - 0.001, False), (NOISY + 0.001, True), (0.3, True)]
)
def test_a_restless_memory_is_remarked_on(noise, is_told):
    """From a spread of 8 % on, with the readings that a tenth lies beyond."""
    notes = noise_of(readings_of(PI5, noise=noise))
    assert len(notes) == is_told
    if noise == 0.3:  # 16 GB/s, a tenth of five readings is none: the extremes lie 1.2816 spreads off
        assert "within 17 s the memory gave from 10.9 to 23.5 GB/s" in notes[0]
        assert "off by some 30 %" in notes[0].replace("30%", "30 %")


def test_the_state_of_the_machine_is_remarked_on():
    """What was said before measuring stays with the figures."""
    assert notes_of(replace(PI5, temperature_c=85.0)) == [
        "the processor is at 85 °C, where it may slow down: let it cool first"
    ]


def test_a_cache_slower_than_what_is_behind_it_was_not_seen():
    """L1 at 90 before an L2 at 100: its size stays, its speed goes; equal speeds stay. Nothing is left of what was given."""
    speeds = {"L1": (90.0, 130.0), "L2": (100.0, 120.0), "L3": (100.0, 110.0), "memory": (20.0, 105.0)}
    levels = [
        {"name": name, "gb_per_s": {"value": value, "best": best}, "gb_per_s_by_threads": {1: {"value": value / 2}}}
        for name, (value, best) in speeds.items()
    ]
    assert without_slow_caches(levels) == [{"name": "L1"}, *levels[1:]]
    assert "gb_per_s" in levels[0]
    lucky = [
        levels[1],
        {**levels[3], "gb_per_s": {"value": 20.0, "best": 125.0}},
    ]  # once it gave more than the cache ever did
    assert without_slow_caches(lucky) == [{"name": "L2"}, lucky[1]]


def test_levels_without_speeds_stay_as_they_are():
    """A cache of which only the size is known, and one with somebody's own figure."""
    levels = [{"name": "L1"}, {"name": "L2", "gb_per_s": 5}, {"name": "memory", "gb_per_s": {"value": 20.0}}]
    assert without_slow_caches(levels) == levels


def test_kernels_are_shares_of_the_reads_beside_them():
    """The formula's kernels read at 0.9 of a pure read or compute at 160 Gop/s: 16 tokens of 64 MiB on four threads."""
    engine = described(PI5)["engine"]
    one, many = (engine["kernels"][4]["q8_0"][n] for n in (1, 16))
    assert one["memory_share"]["value"] == pytest.approx(0.9, rel=1e-3)
    assert one["cache_share"]["value"] == pytest.approx(
        0.9 if bytes_per_s(PI5, 4, 512 * KI) < 40e9 else 80 / 240, rel=1e-3
    )
    assert one["cached_gop_per_s"]["value"] == pytest.approx(40 * 4)
    assert many["cached_gop_per_s"]["value"] == pytest.approx(40 * 4 * 4)
    assert many["memory_share"]["value"] == pytest.approx(640e9 / 32 / 16e9 if 640 / 32 < 16 * 0.9 else 0.9, rel=1e-3)
    assert set(engine["kernels"]) == set(engine["attention"]) == set(engine["phase_us"]) == {1, 2, 4}
    assert set(engine["columns"]) == {4}
    assert set(engine["attention"][1]["f16"]) == set(QUERIES)
    assert [figure["value"] for figure in engine["read_gb_per_s"][4]] == pytest.approx([400, 240, 16], rel=1e-3)


def test_attention_keeps_both_reads_that_it_was_timed_beside():
    """2 MB in 10 us in the shared cache, for four queries alone; memory's were read at 15 GB/s."""
    readings = readings_of(PI5)
    speeds = readings.attention[4].speeds
    speeds[4] = replace(speeds[4], cache_read=timed(1e-5, bytes=2e6))
    found = hardware_fields(readings, "mine", WHEN)["engine"]["attention"][4]["f16"]
    assert found[4]["cache_gb_per_s"]["value"] == 200
    assert "cache_gb_per_s" not in found[1]
    assert found[1]["memory_gb_per_s"]["value"] == pytest.approx(15)


def test_starting_a_matrix_takes_what_the_formula_says():
    """2 us for each, in memory and in the shared cache, whatever whole panels make of the sizes."""
    engine = described(SERVER)["engine"]
    for key in ("start_us", "shared_start_us"):
        assert set(engine[key]) == {1, 48, 96}
        assert engine[key][96]["value"] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize(("noise_us", "spread"), [(0.1, 0.1 / 0.43), (2.0, 1.0)])
def test_a_start_is_seen_through_noise(noise_us, spread):
    """0.43 us for each matrix, whether single rounds scatter by 0.1 us or by 2: then four in ten find less than nothing."""
    readings = readings_of(PI5)
    large, small = (readings.samples[f"start 4 {where}"] for where in ("memory", "pieces"))
    more = small.bytes / whole_panels("q8_0", PIECE_BYTES) - large.bytes / whole_panels("q8_0", MATRIX_BYTES)
    normal = [NormalDist(0.43e-6, noise_us * 1e-6).inv_cdf((number + 0.5) / 41) for number in range(41)]
    readings.samples["start 4 memory"] = replace(large, seconds=(8e-3,) * 41)
    readings.samples["start 4 pieces"] = replace(small, seconds=tuple(8e-3 + more * each for each in normal))
    found = hardware_fields(readings, "mine", WHEN)["engine"]["start_us"][4]
    assert found["value"] == pytest.approx(0.43, rel=1e-3)
    assert found["spread"] == pytest.approx(spread, rel=0.05)
    assert found["count"] == 41


def test_tokens_and_runs_are_seen_through_noise():
    """Three of seven rounds found less than nothing: the middle one counts, 1 and 2 us."""
    readings = readings_of(PI5)
    noisy = Sample(tuple(each * 1e-6 for each in (-3, 1, 4, -1, 5, 7, -2)))
    twice = Sample(tuple(2 * each for each in noisy.seconds))
    readings.overheads[1] |= {"token": noisy, "cold token": twice}
    readings.attention[1] = replace(readings.attention[1], run=twice)
    items = hardware_fields(readings, "mine", WHEN)["engine"]["item_ns"][1]
    assert {work: items[work]["value"] for work in ("token", "cold token", "run")} == pytest.approx(
        {"token": 1000, "cold token": 2000, "run": 2000}
    )
    assert items["token"]["spread"] == 1.0


def test_work_is_that_which_forecasts_ask_for():
    """One thread's items include a token, warm and cold, and all counts what it takes to begin with a head's cache."""
    engine = described(PI5)["engine"]
    assert set(engine["item_ns"][1]) == set(WORK)
    assert set(engine["item_ns"][4]) == set(WORK) - {"token", "cold token"}
    assert engine["item_ns"][4]["norm"]["value"] == 5
    assert engine["item_ns"][1]["token"]["value"] == 1000
    assert engine["step_us"]["value"] == 100
    assert engine["cold_step_us"]["value"] == 300
    assert engine["phase_us"][2]["value"] == 2


def test_the_curve_has_all_sizes_with_one_thread_and_with_all():
    """In KiB, as they were read."""
    points = described(PI5)["curve"]
    assert [(point["threads"], point["working_set_kib"]) for point in points][:2] == [(1, 16), (1, 20)]
    assert {point["threads"] for point in points} == {1, 4}
    assert len(points) == 2 * 25
    assert points[-1]["working_set_kib"] == 64 * 1024


def test_a_run_is_kept_with_its_figures():
    """When, how long, how many rounds, and the speeds that tell runs apart."""
    (run,) = described(PI5)["runs"]
    assert run["when"] == "2026-11-23 04:05"
    assert (run["seconds"], run["rounds"]) == (17.3, 5)
    assert {name: figure["value"] for name, figure in run["figures"].items()} == {
        "read_gb_per_s": 16, "f32_tflops": 0.2, "int8_tflops": 0.8,
    }  # fmt: skip


def test_a_file_of_many_runs_can_still_be_read():
    """A server in all formats after a hundred measurings with a dozen remarks each: files above 256 KiB are refused."""
    from simulator.probe.merge import merge

    state = tuple(f"remark {number}: " + "x" * 120 for number in range(12))
    readings = readings_of(replace(SERVER, throttling=state), quick=False, noise=0.2)
    data = new = hardware_fields(readings, "mine", WHEN)
    for _ in range(100):
        data = merge(data, new, "mine.yaml")
    assert len(to_yaml(data).encode()) < 0.9 * 256 * KI


def test_a_rate_says_typical_middle_and_best():
    """8 bytes in 1, 2, 4 s: typically the mean of logarithms, 2 s; unknown remarks are left out."""
    found = rate(Sample((4.0, 1.0, 2.0), bytes=8e9), GIGA)
    assert (found["value"], found["median"], found["best"], found["count"]) == (4, 4, 8, 3)
    assert "how" not in found
    assert rate(timed(1.0, flops=5e9), GIGA, "so")["how"] == "so"


def test_a_rate_of_a_single_round_has_no_spread():
    """There was no time for a second one: 4 GB/s, and nothing is known of how it scatters."""
    found = rate(Sample((2.0,), bytes=8e9), GIGA)
    assert (found["value"], found["count"]) == (4.0, 1)
    assert "spread" not in found


def test_a_machine_is_known_before_it_is_measured():
    """The same fields as its file has in the end."""
    data = described(PI5)
    known = identity(PI5, 4)
    assert {key: data[key] for key in known} == known
    assert known["description"] == ("4 cores; 4 x 64 KiB L1 data, 4 x 512 KiB L2, 1 x 2 MiB L3; 8.0 GiB LPDDR4X")
    assert identity(HOSTS["unknown"], 2) == {
        "kind": "cpu",
        "vendor": "",
        "cores": None,
        "threads": 2,
        "description": "",
    }


@pytest.mark.parametrize(("nbytes", "text"), [(32 * KI, "32 KiB"), (1280 * KI, "1.25 MiB"), (MI, "1 MiB"),
                                               (54_300, "53.0 KiB"), (2.83 * MI, "2.83 MiB"), (23.5 * GI, "23.5 GiB")])  # fmt: skip
def test_caches_are_written_as_makers_do(nbytes, text):
    """In binary units."""
    assert format_capacity(nbytes) == text


def test_yaml_has_figures_on_a_line_each():
    """And no anchors, whatever is the same object; numbers stay numbers."""
    figure = {"value": 1.5, "source": "profile"}
    text = to_yaml({"name": "x", "memory": [{"name": "L1", "gb_per_s": figure, "gb_per_s_by_threads": {1: figure}}]})
    assert "gb_per_s: {value: 1.5, source: profile}" in text
    assert "&" not in text
    assert yaml.safe_load(text)["memory"][0]["gb_per_s_by_threads"] == {1: figure}


def test_decodes_that_scatter_more_than_memory_are_told():
    """The reference models by 30 %, memory by 2 %: it is decodes that are forecast."""
    readings = readings_of(PI5)
    everyone = readings.plan.threads[-1]
    names = [name for name in readings.samples if name.startswith(f"reference {everyone} ")]
    readings.samples.update({name: timed(5e-3, 0.3) for name in names})
    (note,) = noise_of(readings)
    assert "decodes of the same models scattered by 30%" in note


def test_a_machine_of_two_speeds_is_described_in_its_file():
    """Sixty readings of memory, in turns of two at 10 GB/s and three at 16: speeds, shares and changes."""
    readings = readings_of(PI5)
    size = readings.plan.buffer_bytes
    rates = [10e9, 10e9, 16e9, 16e9, 16e9] * 12
    seconds = tuple(size / rate * (1 + 0.02 * (place % 3 - 1)) for place, rate in enumerate(rates))
    readings.samples[f"read {readings.plan.threads[-1]} {size}"] = Sample(seconds, bytes=size)
    hardware = Hardware.model_validate(hardware_fields(readings, "mine", WHEN))
    (run,) = hardware.runs
    assert (
        "two states: reading memory at 10.0 GB/s 40% of the time and at 16.0 GB/s 60%, with 23 changes in 60 readings"
        in run.notes
    )
    slow, fast = run.figures["slow_read_gb_per_s"], run.figures["fast_read_gb_per_s"]
    assert (slow.value, slow.count, slow.how) == (pytest.approx(10, rel=1e-3), 24, "40% of the readings")
    assert (fast.value, fast.count) == (pytest.approx(16, rel=1e-3), 36)


def test_a_machine_of_one_speed_has_no_states_in_its_file():
    """Five readings say nothing of that, and noise is none."""
    (run,) = hardware_fields(readings_of(PI5), "mine", WHEN)["runs"]
    assert "slow_read_gb_per_s" not in run["figures"]
    assert not [note for note in run["notes"] if "two states" in note]
