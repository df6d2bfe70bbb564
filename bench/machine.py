"""The machine in words, so that a figure can be read elsewhere."""

import os
import pathlib
import platform
import re


def load_average():
    """Of the last minute."""
    return os.getloadavg()[0]


def first_match(path, pattern):
    try:
        found = re.search(pattern, pathlib.Path(path).read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return None
    return found[1] if found else None


def memory():
    kib = first_match("/proc/meminfo", r"^MemTotal:\s+(\d+) kB")
    return f"{int(kib) / (1 << 20):.0f} GiB" if kib else "unknown"


def file_system(directory):
    """Type and device of the mount that holds `directory`: the longest mount point above it, the last one mounted."""
    path = os.path.realpath(directory)
    best = ("", "unknown", "")
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            device, point, kind, options = line.split()[:4]
            point = point.encode().decode("unicode_escape")
            if (path + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best[0]):
                best = (point, f"{kind} on {device} ({options})", kind)
    warning = " (in memory: durable and the writing peers mean nothing here)" if best[2] in ("tmpfs", "ramfs") else ""
    return best[1] + warning


def describe_machine(directory):
    model = first_match("/proc/cpuinfo", r"^model name\s*:\s*(.*)$") or platform.machine()
    name = first_match("/etc/os-release", r'^PRETTY_NAME="?([^"\n]*)') or platform.system()
    virtual = "virtual" if first_match("/proc/cpuinfo", r"^flags\s*:.*\b(hypervisor)\b") else "physical"
    return {
        "processor": f"{model}, {os.cpu_count()} cores, {virtual} machine",
        "memory": memory(),
        "file system": file_system(directory),
        "system": f"{name}, Linux {platform.release()}",
    }
