"""The kind of a machine's memory: what servers tell, and what is known of boards."""

import pytest
from systems import pc, pi


@pytest.mark.parametrize(
    ("told", "memory_type"),
    [
        ("Registered-DDR5\n", "DDR5"),
        ("Unbuffered-DDR4\n", "DDR4"),
        ("Low-Power-DDR4-RAM\n", "LPDDR4"),
        ("Unknown\n", None),
    ],
)
def test_servers_tell_their_memory(tmp_path, told, memory_type):
    """In the words of the driver that counts its errors; empty slots come first."""
    slots = "sys/devices/system/edac/mc/mc0/dimm"
    files = {f"{slots}0/dimm_mem_type": "Empty\n", f"{slots}3/dimm_mem_type": told}
    assert pc(tmp_path, 2, files).memory_type == memory_type


@pytest.mark.parametrize(
    ("model", "memory_type"),
    [
        ("Raspberry Pi 5 Model B Rev 1.1", "LPDDR4X"),
        ("Raspberry Pi Compute Module 5 Rev 1.0", "LPDDR4X"),
        ("Raspberry Pi 4 Model B Rev 1.5", "LPDDR4"),
        ("Raspberry Pi 3 Model B Rev 1.2", None),
        ("Radxa ROCK 5B", None),
    ],
)
def test_the_memory_of_some_boards_is_known(tmp_path, model, memory_type):
    """Of those that come with one kind only."""
    assert pi(tmp_path, {"proc/device-tree/model": model + "\0"}).memory_type == memory_type
