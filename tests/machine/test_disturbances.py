"""What disturbs measuring: governors, heat, a firmware that throttles, and other programs."""

from dataclasses import replace

import pytest
from systems import CPU, THROTTLED, build, pc, pi

from simulator.machine.disturbances import describe_state, remark_on_others
from simulator.machine.host import Host
from simulator.machine.read import read_host


def test_cores_that_are_set_differently_name_all_governors(tmp_path):
    """And the clock is that of the fastest core."""
    changes = {f"{CPU}0/cpufreq/scaling_governor": "performance\n", f"{CPU}3/cpufreq/scaling_cur_freq": "2400000\n"}
    host = pi(tmp_path, changes)
    assert (host.governor, host.frequency.current_hz) == ("ondemand, performance", 2.4e9)


def test_the_hottest_sensor_of_the_processor_counts(tmp_path):
    """Not the disk's; AMD's Tctl is no temperature; a sensor that is off reads -274 or 0."""
    zones = {"x86_pkg_temp": "61000", "acpitz": "95000", "soc-thermal": "-274000", "cpu1-thermal": "0"}
    files = {}
    for number, (name, reading) in enumerate(zones.items()):
        files[f"sys/class/thermal/thermal_zone{number}/type"] = name + "\n"
        files[f"sys/class/thermal/thermal_zone{number}/temp"] = reading + "\n"
    assert pc(tmp_path, 2, files).temperature_c == 61.0
    sensors = {"name": "k10temp\n", "temp1_label": "Tctl\n", "temp1_input": "99000\n"}
    sensors |= {"temp3_label": "Tccd1\n", "temp3_input": "72250\n"}
    disk = {"name": "nvme\n", "temp1_input": "88000\n"}
    files |= {f"sys/class/hwmon/hwmon0/{name}": content for name, content in sensors.items()}
    files |= {f"sys/class/hwmon/hwmon1/{name}": content for name, content in disk.items()}
    assert pc(tmp_path, 2, files).temperature_c == 72.25


def test_a_throttled_pi_says_why_and_what_helps(tmp_path):
    """0x50005: too little voltage and throttled, now (bits 0, 2) and since the boot (16, 18), each told once."""
    host = pi(tmp_path, {THROTTLED: "50005\n"})
    assert host.throttling == (
        "the supply voltage is too low now: use the power supply made for this board",
        "the processor is throttled now: see to its cooling and its power supply",
    )
    assert describe_state(host) == host.throttling


@pytest.mark.parametrize(
    ("told", "file", "beginnings"),
    [
        ("throttled=0x0\n", "50005\n", []),
        ("throttled=0x80002\n", None, ["the clock is capped now", "the soft temperature limit slowed it down at some"]),
        ("", "e0000\n", ["the clock was capped", "the processor was throttled", "the soft temperature limit slowed"]),
        ("VCHI initialization failed\n", "1", ["the supply voltage is too low now"]),
        ("throttled=0xfffffffffff\n", "zz\n", []),
        ("throttled=0x10\n", "ffffffff\n", []),
    ],
)
def test_the_firmware_is_asked_before_the_deprecated_file(tmp_path, told, file, beginnings):
    """`vcgencmd` answers first; where it is missing or fails, the file does; nonsense says nothing."""

    def run(command):
        return told if tuple(command) == ("vcgencmd", "get_throttled") else ""

    found = pi(tmp_path, {THROTTLED: file}, run).throttling
    assert len(found) == len(beginnings)
    assert all(sentence.startswith(beginning) for sentence, beginning in zip(found, beginnings, strict=True))


def test_only_a_raspberry_pi_is_asked_for_vcgencmd(tmp_path):
    """No other machine starts a program."""

    def run(command):
        raise AssertionError(command)

    root = build(tmp_path, {"proc/device-tree/model": "Radxa ROCK 5B\0"})
    assert read_host(root, frozenset({0}), run, "aarch64").throttling == ()


GOVERNOR = (
    "the frequency governor powersave keeps the clock low: "
    "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
)


@pytest.mark.parametrize(
    ("changes", "remarks"),
    [
        ({}, ()),
        ({"governor": "performance"}, ()),
        ({"governor": "schedutil"}, ()),
        ({"governor": "powersave", "frequency_driver": "acpi-cpufreq"}, (GOVERNOR,)),
        ({"governor": "performance, powersave", "frequency_driver": "cpufreq-dt"}, (GOVERNOR,)),
        ({"governor": "powersave", "frequency_driver": "intel_pstate"}, ()),
        ({"governor": "powersave", "frequency_driver": "amd-pstate-epp"}, ()),
        ({"temperature_c": 79.9}, ()),
        ({"temperature_c": 80.0}, ("the processor is at 80 °C, where it may slow down: let it cool first",)),
        (
            {"virtual": "KVM"},
            ("this is a virtual machine (KVM): others may share its memory bandwidth, and figures vary",),
        ),
    ],
)
def test_what_disturbs_a_measurement_is_told_with_its_remedy(changes, remarks):
    """Intel's and AMD's own drivers reach the full clock under `powersave`."""
    assert describe_state(replace(Host(n_threads=8, n_cores=4), **changes)) == remarks


@pytest.mark.parametrize(
    ("idle", "said"), [(90, ""), (80, "other programs take 20% of the processor"), (0, "take 100%")]
)
def test_other_programs_at_work_are_told(tmp_path, idle, said):
    """Of 100 ticks that pass while this program waits, so many are idle."""
    stat = tmp_path / "proc" / "stat"
    stat.parent.mkdir()
    stat.write_text("cpu  100 0 50 1000 10 0 0 0 0 0\ncpu0 1 2 3\n")
    found = remark_on_others(
        tmp_path, lambda _: stat.write_text(f"cpu  {200 - idle} 0 50 {1000 + idle} 10 0 0 0 0 0\n")
    )
    assert len(found) == bool(said)
    assert said in "".join(found)


@pytest.mark.parametrize("text", ["", "cpu", "cpu a b c d e", "intr 1 2 3 4 5 6 7 8", "cpu " + "9" * 40])
def test_processor_time_that_cannot_be_read_is_not_remarked_on(tmp_path, text):
    """A missing or damaged file says nothing."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "stat").write_text(text)
    assert remark_on_others(tmp_path, lambda _: None) == ()
