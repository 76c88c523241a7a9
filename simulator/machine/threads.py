"""How many threads can be at work at once."""

from __future__ import annotations

from numbers import Integral
from pathlib import Path

from simulator.errors import InputError, describe
from simulator.machine.control_groups import read_quota
from simulator.machine.files import Tree
from simulator.machine.host import Host
from simulator.machine.processor import core_siblings, usable_cpus


def most_threads(host: Host) -> int:
    """Threads that can be at work at once: the hardware threads that this process may use, or the whole ones its quota pays for."""
    return max(1, int(min(host.n_threads, host.cpu_quota or host.n_threads)))


def usual_threads(host: Host) -> int:
    """One for each physical core, as far as a quota pays for them.

    Two hardware threads of a core share its units and its caches: both together read memory no faster than one, and where they wait
    for each other at the end of every matrix, the slower one holds up all.
    """
    return min(most_threads(host), host.n_cores or host.n_threads)


def threads_here(wanted: int | None = None, option: str = "threads", host: Host | None = None) -> int:
    """As many threads as wanted, None for one on each core; InputError, naming the *option*, where there are fewer.

    More would wait for each other in turns of the scheduler: a hundred times slower, and the machine is no use to anybody else.
    """
    if host is None:
        usable, tree = usable_cpus(), Tree(Path("/"))
        cores = core_siblings(tree, usable)
        host = Host(len(usable), cpu_quota=read_quota(tree, len(usable)), n_cores=len(cores) if cores else None)
    most = most_threads(host)
    if wanted is None:
        return usual_threads(host)
    if isinstance(wanted, bool) or not isinstance(wanted, Integral) or not 1 <= wanted <= most:
        raise InputError(f"{option} {describe(wanted)}: {_possible(host, most)}")
    return int(wanted)


def _possible(host: Host, most: int) -> str:
    if most == host.n_threads:
        return f"between 1 and {most:,} are possible on this machine" if most > 1 else "this machine has one"
    return f"at most {most:,}, since a control group allows {host.cpu_quota:.3g} of this machine's {host.n_threads:,}"
