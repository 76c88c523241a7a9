"""Who this machine is, as far as its system tells an ordinary user."""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path

from simulator.machine.caches import read_caches
from simulator.machine.control_groups import read_quota
from simulator.machine.files import Tree, fields, natural
from simulator.machine.host import Host
from simulator.machine.macos import read_mac
from simulator.machine.memory import read_memory, read_memory_type
from simulator.machine.processor import common_name, count_cores, cpu_name, usable_cpus, vendor_of, widest_kernels
from simulator.machine.programs import Run, run_program
from simulator.machine.state import read_frequency, read_temperature, read_throttling, setting
from simulator.machine.surroundings import guess_class, has_battery, read_board, read_container, read_hypervisor


def read_host(
    root: Path = Path("/"),
    affinity: frozenset[int] | None = None,
    run: Run = run_program,
    architecture: str | None = None,
) -> Host:
    """The machine whose files lie below *root*, with the CPUs of *affinity*: this one and those this process may use.

    Never raises, whatever is in the files.
    """
    architecture = common_name(architecture or platform.machine())
    if sys.platform == "darwin" and root == Path("/"):
        return read_mac(run, architecture)
    tree = Tree(root)
    usable = affinity or usable_cpus()
    everything = [fields(text) for text in re.split(r"\n\s*\n", tree.text("proc/cpuinfo"))]
    processors = [each for each in everything if natural(each.get("processor", "")) in usable]
    described = processors or everything
    cpu, vendor, board = cpu_name(described), vendor_of(described, architecture), read_board(tree, everything)
    n_cores = count_cores(tree, processors, usable)
    memory_bytes, available_bytes = read_memory(tree)
    return Host(
        n_threads=len(usable),
        cpu=cpu,
        vendor=vendor,
        architecture=architecture,
        kernels=widest_kernels(described, architecture),
        board=board,
        n_cores=n_cores,
        cpu_quota=read_quota(tree, len(usable)),
        caches=read_caches(tree, usable),
        memory_bytes=memory_bytes,
        available_bytes=available_bytes,
        memory_type=read_memory_type(tree, board),
        frequency=read_frequency(tree, processors, usable),
        frequency_driver=setting(tree, usable, "scaling_driver"),
        governor=setting(tree, usable, "scaling_governor"),
        temperature_c=read_temperature(tree),
        throttling=read_throttling(tree, board, run),
        virtual=read_hypervisor(tree, described),
        container=read_container(tree),
        device_class=guess_class(
            cpu, vendor, board, n_cores, battery=has_battery(tree), phone=tree.has("system/build.prop")
        ),
    )
