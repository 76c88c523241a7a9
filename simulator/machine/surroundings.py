"""What stands around processor and memory: a board, a hypervisor, a container, a battery; and what kind of machine that makes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from simulator.machine.files import Tree, clean
from simulator.spec.hardware import Vendor
from simulator.spec.memory import DeviceClass

MANY_CORES = 32
UNNAMED = "unknown hypervisor"
HYPERVISORS = {  # words in what the firmware calls its maker and product
    "vmware": "VMware", "virtualbox": "VirtualBox", "qemu": "QEMU", "kvm": "KVM", "xen": "Xen", "domu": "Xen",
    "parallels": "Parallels", "bhyve": "bhyve", "amazon ec2": "Amazon EC2", "virtual machine": "Hyper-V",
    "google compute engine": "Google Compute Engine", "openstack": "OpenStack", "digitalocean": "DigitalOcean",
    "hetzner": "Hetzner", "alibaba cloud": "Alibaba Cloud", "apple virtualization": "Apple Virtualization",
}  # fmt: skip
MEANINGLESS = {
    "none", "default string", "system product name", "to be filled by o.e.m.", "not specified", "not applicable",
    "n/a", "o.e.m.", "unknown", "undefined", "all series", "linux,dummy-virt",
}  # fmt: skip
SINGLE_BOARD = re.compile(
    r"(raspberry|orange|banana|nano|mango) ?pi|radxa|\brock ?(pi|[345])|odroid|khadas|libre ?computer|pine64|rockpro"
    r"|beagle|jetson|visionfive|milk-?v|lichee|tinker ?board|cubie",
    re.IGNORECASE,
)
SERVER = re.compile(r"epyc|xeon|opteron|neoverse|graviton|ampere|altra|thunderx|kunpeng|\bpower\d", re.IGNORECASE)


def read_board(tree: Tree, everything: Iterable[dict[str, str]]) -> str | None:
    """The machine's name: of its device tree, of /proc/cpuinfo (containers do not see the former), of its firmware."""
    of_cpuinfo = " ".join(each["Model"] for each in everything if "Model" in each)
    for text in (
        tree.text("proc/device-tree/model"),
        tree.text("sys/firmware/devicetree/base/model"),
        of_cpuinfo,
        tree.text("sys/class/dmi/id/product_name"),
    ):
        name = clean(text)
        if name and name.lower() not in MEANINGLESS:
            return name
    return None


def read_hypervisor(tree: Tree, processors: Iterable[dict[str, str]]) -> str:
    """The hypervisor of a virtual machine, otherwise nothing."""
    flags = " ".join(each.get("flags", "") for each in processors).split()
    if flags and "hypervisor" not in flags:  # x86, where it is certain; a cloud's bare metal names the cloud, too
        return ""
    product = tree.text("sys/class/dmi/id/product_name").lower()
    firmware = f"{tree.text('sys/class/dmi/id/sys_vendor')} {product} {tree.text('sys/hypervisor/type')}".lower()
    named = (name for word, name in HYPERVISORS.items() if re.search(rf"\b{word}\b", firmware))
    if "microsoft" in tree.text("proc/sys/kernel/osrelease").lower():
        return "WSL 2"
    if ".metal" in product:
        return ""
    is_dummy = "dummy-virt" in tree.text("proc/device-tree/model") + tree.text("sys/firmware/devicetree/base/model")
    return next(named, UNNAMED if "hypervisor" in flags or is_dummy else "")


def read_container(tree: Tree) -> str:
    """The software whose container this is, otherwise nothing."""
    if tree.has(".dockerenv"):
        return "Docker"
    if tree.has("run/.containerenv"):
        return "Podman"
    found = re.search("kubepods|docker|containerd|lxc", tree.text("proc/1/cgroup"))
    return clean(tree.text("run/systemd/container")) or (found[0] if found else "")


def has_battery(tree: Tree) -> bool:
    """Whether the machine runs on one; that of a mouse does not count."""
    supplies = tree.find("sys/class/power_supply/*")
    batteries = [each for each in supplies if tree.text(f"{each}/type").strip() == "Battery"]
    return any(tree.text(f"{each}/scope").strip() != "Device" for each in batteries)


def guess_class(
    cpu: str | None, vendor: Vendor, board: str | None, n_cores: int | None, *, battery: bool, phone: bool
) -> DeviceClass:
    """What kind of machine this probably is."""
    if phone:
        return "phone"
    if SINGLE_BOARD.search(board or ""):
        return "sbc"
    if vendor == "apple":
        return "apple"
    if battery:
        return "laptop-cpu"
    return "server-cpu" if SERVER.search(cpu or "") or (n_cores or 0) > MANY_CORES else "desktop-cpu"
