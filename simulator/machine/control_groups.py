"""What control groups, such as a container has, allow a process of a machine's time and memory."""

from __future__ import annotations

import re
from collections.abc import Iterator

from simulator.machine.files import Tree, natural

MEMORY_FILES = (  # limit, use, and the line of memory.stat for what the system would give up at once: version 2, version 1
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def read_quota(tree: Tree, n_threads: int) -> float | None:
    """How many threads' worth of time the control groups allow; None where that is no limit."""
    quotas = []
    for group in control_groups(tree, "cpu"):
        version_2 = re.fullmatch(r"([0-9]+) ([0-9]+)\s*", tree.text(f"{group}/cpu.max"))
        version_1 = tree.text(f"{group}/cpu.cfs_quota_us"), tree.text(f"{group}/cpu.cfs_period_us")
        quota, period = map(natural, version_2.groups() if version_2 else version_1)
        if quota and period and quota < n_threads * period:
            quotas.append(quota / period)
    return min(quotas, default=None)


def memory_limits(tree: Tree) -> Iterator[tuple[int, int]]:
    """Limit and use in bytes of every control group that has a limit."""
    for group in control_groups(tree, "memory"):
        for limit_file, use_file, reclaimable in MEMORY_FILES:
            limit = tree.count(f"{group}/{limit_file}")
            if limit:
                lines = tree.text(f"{group}/memory.stat").splitlines()
                cached = [natural(line[len(reclaimable) :]) for line in lines if line.startswith(f"{reclaimable} ")]
                yield limit, max(0, (tree.count(f"{group}/{use_file}") or 0) - sum(filter(None, cached)))


def control_groups(tree: Tree, controller: str) -> list[str]:
    """Folders of the control groups this process is in, those around them included; there need not be such folders."""
    places = {"sys/fs/cgroup": "", "sys/fs/cgroup/unified": "", f"sys/fs/cgroup/{controller}": ""}
    for line in tree.text("proc/self/cgroup").splitlines():
        names, _, path = line.partition(":")[2].partition(":")
        if controller in names.split(","):
            places |= {f"sys/fs/cgroup/{names}": path, f"sys/fs/cgroup/{controller}": path}
        elif not names:
            places |= {"sys/fs/cgroup": path, "sys/fs/cgroup/unified": path}
    return [folder for place, path in places.items() for folder in _with_parents(place, path)]


def _with_parents(place: str, path: str) -> list[str]:
    parts = [part for part in path.split("/") if part][:50]
    if ".." in parts:  # a group outside what this process can see
        parts = []
    return ["/".join([place, *parts[:depth]]) for depth in range(len(parts) + 1)]
