"""What a control group allows of a machine's memory and time."""

import pytest
from systems import pc

from simulator.machine.disturbances import describe_state
from simulator.units import GI

MEMINFO = "MemTotal:       16777216 kB\nMemAvailable:   12582912 kB\n"  # 16 GiB, 12 of them free


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, (16 * GI, 12 * GI)),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, (16 * GI, 12 * GI)),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1073741824\n"}, (GI, GI)),
        (
            {  # 768 MiB used, of which 256 MiB are cached files: 512 MiB left
                "proc/self/cgroup": "0::/a.slice/b.scope\n",
                "sys/fs/cgroup/a.slice/memory.max": "1073741824\n",
                "sys/fs/cgroup/a.slice/memory.current": "805306368\n",
                "sys/fs/cgroup/a.slice/memory.stat": "anon 1\ninactive_file 268435456\nactive_file 7\n",
                "sys/fs/cgroup/a.slice/b.scope/memory.max": "2147483648\n",
            },
            (GI, GI // 2),
        ),
        (
            {  # version 1; the group's own path is the host's, in the container it is the top
                "proc/self/cgroup": "4:memory:/docker/0123\n1:name=systemd:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "536870912\n",
                "sys/fs/cgroup/memory/memory.stat": "inactive_file 99\ntotal_inactive_file 268435456\n",
            },
            (GI, GI * 3 // 4),
        ),
        (
            {  # version 1 writes "no limit" so
                "proc/self/cgroup": "4:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            (16 * GI, 12 * GI),
        ),
        ({"proc/self/cgroup": "0::/../../x\n", "sys/fs/cgroup/memory.max": "1073741824\n"}, (GI, GI)),
        ({"sys/fs/cgroup/memory.max": "1073741824\n"}, (GI, GI)),
    ],
)
def test_a_control_group_limits_the_memory(tmp_path, files, expected):
    """The smallest limit of the group and those around it; what it uses is gone, but for what is only cached."""
    host = pc(tmp_path, 2, {"proc/meminfo": MEMINFO, **files})
    assert (host.memory_bytes, host.available_bytes) == expected


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/x\n", "sys/fs/cgroup/x/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/x\n", "sys/fs/cgroup/x/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "0::/x\n", "sys/fs/cgroup/x/cpu.max": "400000 100000\n"}, None),
        ({"proc/self/cgroup": "0::/x\n", "sys/fs/cgroup/x/cpu.max": "150000\n"}, None),
        ({"proc/self/cgroup": "0::/x\n", "sys/fs/cgroup/x/cpu.max": "0 0\n"}, None),
        (
            {
                "proc/self/cgroup": "2:cpu,cpuacct:/x\n",
                "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us": "75000\n",
                "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us": "50000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            1.5,
        ),
    ],
)
def test_a_cpu_quota_below_the_threads_is_told(tmp_path, files, quota):
    """Four threads: 150 ms of every 100 ms are one and a half, 400 ms are no limit."""
    host = pc(tmp_path, 4, files)
    assert (host.n_threads, host.cpu_quota) == (4, quota)
    remark = "a control group allows 1.5 of 4 hardware threads: measure with at most 1"
    assert describe_state(host) == ((remark,) if quota else ())
