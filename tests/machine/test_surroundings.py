"""What stands around the processor: board, hypervisor, container, and the class that is guessed from all of it."""

import pytest
from systems import build, pc, silent, topology, x86

from simulator.machine.disturbances import describe_state
from simulator.machine.read import read_host


@pytest.mark.parametrize(
    ("files", "name", "device_class"),
    [
        ({}, "AMD Ryzen 9 7950X 16-Core Processor", "desktop-cpu"),
        ({}, "AMD EPYC 9R14 96-Core Processor", "server-cpu"),
        ({}, "Intel(R) Xeon(R) Platinum 8488C", "server-cpu"),
        ({"sys/class/power_supply/BAT0/type": "Battery\n"}, "Intel(R) Core(TM) i7-1185G7", "laptop-cpu"),
        (
            {"sys/class/power_supply/mouse/type": "Battery\n", "sys/class/power_supply/mouse/scope": "Device\n"},
            "AMD Ryzen 5 5600X",
            "desktop-cpu",
        ),
        ({"sys/class/power_supply/AC/type": "Mains\n"}, "AMD Ryzen 5 5600X", "desktop-cpu"),
        ({"system/build.prop": ""}, "", "phone"),
        ({"proc/device-tree/model": "Radxa ROCK 5B\0"}, "", "sbc"),
        ({"proc/device-tree/model": "Xunlong Orange Pi 5 Plus\0"}, "", "sbc"),
    ],
)
def test_the_class_is_guessed_from_name_board_and_battery(tmp_path, files, name, device_class):
    """A mouse's battery makes no laptop."""
    assert pc(tmp_path, 2, files, name).device_class == device_class


def test_many_cores_are_a_server(tmp_path):
    """33 cores of whatever name; 32 are not."""
    for n_cores, expected in ((32, "desktop-cpu"), (33, "server-cpu")):
        files = topology({cpu: str(cpu) for cpu in range(n_cores)}, {})
        assert pc(tmp_path, n_cores, files, "Some Processor").device_class == expected


@pytest.mark.parametrize(
    ("product", "board"),
    [
        ("OptiPlex 7090\n", "OptiPlex 7090"),
        ("System Product Name\n", None),
        ("To Be Filled By O.E.M.\n", None),
        ("\n", None),
        ("a\x1b[31m\tb\n", "a [31m b"),
    ],
)
def test_a_board_has_a_name_only_if_somebody_gave_it_one(tmp_path, product, board):
    """Placeholders are no names, and nothing unprintable reaches a terminal."""
    assert pc(tmp_path, 2, {"sys/class/dmi/id/product_name": product}).board == board


@pytest.mark.parametrize(
    ("vendor", "product", "flags", "virtual"),
    [
        ("Amazon EC2", "m7a.xlarge", "fpu hypervisor", "Amazon EC2"),
        ("Amazon EC2", "m7a.metal-48xl", "fpu", ""),
        ("Amazon EC2", "m7g.large", "", "Amazon EC2"),
        ("Amazon EC2", "m7g.metal", "", ""),
        ("QEMU", "Standard PC (Q35 + ICH9, 2009)", "fpu hypervisor", "QEMU"),
        ("Microsoft Corporation", "Virtual Machine", "fpu hypervisor", "Hyper-V"),
        ("Microsoft Corporation", "Surface Laptop 5", "fpu", ""),
        ("VMware, Inc.", "VMware Virtual Platform", "fpu hypervisor", "VMware"),
        ("", "", "fpu hypervisor", "unknown hypervisor"),
        ("", "", "", ""),
    ],
)
def test_a_virtual_machine_is_known_by_its_flag_and_its_firmware(tmp_path, vendor, product, flags, virtual):
    """x86 has a flag for it, Arm only the firmware's names; bare metal of a cloud is none."""
    files = {
        "proc/cpuinfo": x86((0, 1), "Some Processor", flags=flags),
        "sys/class/dmi/id/sys_vendor": vendor,
        "sys/class/dmi/id/product_name": product,
    }
    assert read_host(build(tmp_path, files), frozenset({0, 1}), silent, "").virtual == virtual


@pytest.mark.parametrize(
    ("files", "container"),
    [
        ({"run/.containerenv": ""}, "Podman"),
        ({"run/systemd/container": "systemd-nspawn\n"}, "systemd-nspawn"),
        ({"proc/1/cgroup": "4:memory:/kubepods/burstable/pod1\n"}, "kubepods"),
        ({"proc/1/cgroup": "0::/init.scope\n"}, ""),
    ],
)
def test_a_container_is_told_and_is_nothing_to_worry_about(tmp_path, files, container):
    """It shares nothing more than any program does."""
    host = pc(tmp_path, 2, files)
    assert (host.container, describe_state(host)) == (container, ())
