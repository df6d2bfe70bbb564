"""A virtual machine for a test: Debian's kernel, this system's systemd, and the package installed, on one ext4 disk.

Nothing of it is installed on the system below. The kernel and what else it takes are fetched with apt-get, as files, into
the build folder, and unpacked there. The files of the guest are those of a few packages of the system below, as they are
after the package was installed in an overlay of it. Everything but that cache lies in a tmpfs in a mount namespace of
this process alone, and the emulator dies with this process, however it ends.

The processor is emulated (TCG), also where there is /dev/kvm: it may open and boot nothing, as inside another virtual
machine, and a boot takes seconds.
"""

import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from harness import BIN, ROOT  # noqa: E402

BUILD = pathlib.Path(os.environ.get("TS_BUILD", ROOT / "build/release"))
CACHE = BUILD.parent / "guest-cache"
QEMU = "qemu-system-x86_64"
DISK_SIZE = 256 << 20
PACKAGES = ("base-files", "base-passwd", "coreutils", "dash", "libc-bin", "mount", "passwd", "systemd", "systemd-sysv",
            "util-linux", "trainer-supervisor")
# Not the trainer: it would bring libtorch along.
LEFT_OUT = re.compile(r"/usr/bin/trainer$|/usr/share/(bash-completion|doc|i18n|lintian|locale|man|zsh)(/|$)"
                      r"|/(bin|sbin|lib|lib64)$")
ACCOUNTS = ("/etc/group", "/etc/gshadow", "/etc/ld.so.cache", "/etc/nsswitch.conf", "/etc/passwd", "/etc/shadow")
# What only the page cache holds stays there: neither the kernel's write-back nor the file system's journal brings it to
# the disk by itself, so that a cut costs all that nobody synced.
LAZY = "sysctl.vm.dirty_writeback_centisecs=0 sysctl.vm.dirty_expire_centisecs=360000"
MOUNT = "commit=300"

INIT = f"""#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in $(/bin/busybox cat /modules/order); do /bin/busybox insmod /modules/$module; done
/bin/busybox mount -t ext4 -o {MOUNT} /dev/vda /new
exec /bin/busybox switch_root /new /lib/systemd/systemd
"""
# Says on the second serial port, for the test, what the worker says in this boot.
TELL = """[Unit]
Before=trainer-supervisor.service
[Service]
ExecStart=/bin/sh -c 'exec tail -s 0.05 -n 0 -F /var/log/trainer-supervisor/worker.log >/dev/ttyS1'
[Install]
WantedBy=multi-user.target
"""
JOURNAL = "[Journal]\nStorage=volatile\nForwardToConsole=yes\nTTYPath=/dev/ttyS0\n"


def run(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True, **options).stdout


# ---- what is fetched


def require():
    for program, package in ((QEMU, "qemu-system-x86"), ("mkfs.ext4", "e2fsprogs"), ("setpriv", "util-linux"),
                             ("apt-get", "apt"), ("cpack", "cmake"), ("dpkg-shlibdeps", "dpkg-dev"), ("file", "file")):
        if not shutil.which(program):
            raise unittest.SkipTest(f"{program} is not installed (package {package})")
    architecture = run("dpkg", "--print-architecture").strip()
    if architecture != "amd64":
        raise unittest.SkipTest(f"the virtual machine is made for amd64, and this is {architecture}")


def fetched(package):
    """The folder where the files of the package are. It is installed nowhere."""
    folder = CACHE / package
    if folder.exists():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    lists = CACHE / "lists"
    # With lists of our own where those of the system are missing or too old for its mirror.
    own = ("-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={CACHE}", "-o", "APT::Sandbox::User=root")
    trouble = ""
    for options in ((), own):
        try:
            if options:
                (lists / "partial").mkdir(parents=True, exist_ok=True)
                run("apt-get", *options, "-q", "update", timeout=180)
            return unpacked(package, folder, options)
        except (subprocess.SubprocessError, OSError) as error:
            trouble = (getattr(error, "stderr", "") or str(error)).strip()
    raise unittest.SkipTest(f"the package {package} cannot be fetched from a mirror: {trouble.splitlines()[-1]}")


def unpacked(package, folder, options):
    """A package that only depends on the one for today's kernel stands for that one."""
    described = run("apt-cache", *options, "show", "--no-all-versions", package)
    real = re.search(r"^Depends: (linux-image-\S+)", described, re.MULTILINE)
    making = folder.with_name(f"{package}.{os.getpid()}")
    making.mkdir()
    try:
        run("apt-get", *options, "-q", "download", real[1] if real else package, cwd=making, timeout=300)
        archive = next(making.glob("*.deb"))
        run("dpkg-deb", "-x", archive, making)
        archive.unlink()
        making.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return folder


def no_fsync():
    """A library to preload, with which fsync and its kind say yes and do nothing."""
    return next(fetched("libeatmydata1").rglob("libeatmydata.so"))


def modules_for(kernel, *names):
    """Their files, each after those that it needs."""
    there = {path.stem.replace("-", "_"): path for path in (kernel / "lib/modules").rglob("*.ko")}
    order = []

    def add(name):
        needed = re.search(rb"\0depends=([^\0]*)\0", b"\0" + there[name].read_bytes())[1].decode()
        for one in filter(None, needed.split(",")):
            add(one)
        if there[name] not in order:
            order.append(there[name])

    for name in names:
        add(name)
    return order


# ---- what it boots from


def write_initrd(path, kernel, busybox):
    """Loads what the disk takes, mounts it and hands over to systemd. The format: the kernel's Documentation, initramfs."""
    modules = modules_for(kernel, "virtio_pci", "virtio_blk")
    order = "\n".join(module.name for module in modules).encode()
    folders = [(name, stat.S_IFDIR | 0o755, b"") for name in ("bin", "dev", "modules", "new")]
    files = [("init", stat.S_IFREG | 0o755, INIT.encode()), ("bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes()),
             ("modules/order", stat.S_IFREG | 0o644, order),
             *((f"modules/{module.name}", stat.S_IFREG | 0o644, module.read_bytes()) for module in modules),
             ("dev/console", stat.S_IFCHR | 0o600, b""), ("TRAILER!!!", 0, b"")]
    with open(path, "wb") as out:
        for number, (name, mode, content) in enumerate(folders + files, 1):
            device = (5, 1) if stat.S_ISCHR(mode) else (0, 0)
            fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name) + 1, 0)
            out.write(b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0")
            out.write(b"\0" * (-out.tell() % 4) + content)
            out.write(b"\0" * (-out.tell() % 4))


def build_package(folder):
    run("cpack", "--config", BUILD / "CPackConfig.cmake", "-B", folder)
    return next(folder.glob("*.deb"))


def install(merged, package, configure, preload):
    """In the overlay: the package and what makes it this test's machine."""
    shutil.copy(package, merged / "package.deb")
    run("chroot", merged, "dpkg", "--force-unsafe-io", "--force-confnew", "-i", "/package.deb")
    shutil.copy(BIN / "toy_trainer", merged / "usr/local/bin/toy_trainer")
    config = merged / "etc/trainer-supervisor/config.yaml"
    config.write_text(configure(config.read_text(encoding="utf-8")), encoding="utf-8")
    units = merged / "etc/systemd/system"
    shutil.rmtree(units)
    (units / "trainer-supervisor.service.d").mkdir(parents=True)
    (units / "tell-host.service").write_text(TELL, encoding="utf-8")
    run("chroot", merged, "systemctl", "enable", "trainer-supervisor", "tell-host")
    if preload:
        shutil.copy(preload, merged / "usr/local/lib/preloaded.so")
        (units / "trainer-supervisor.service.d/preload.conf").write_text(
            "[Service]\nEnvironment=LD_PRELOAD=/usr/local/lib/preloaded.so\n", encoding="utf-8")
    (merged / "etc/systemd/journald.conf").write_text(JOURNAL, encoding="utf-8")
    (merged / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n", encoding="ascii")
    (merged / "etc/hostname").write_text("guest\n", encoding="ascii")


def select(merged):
    """The files of the guest: those of its packages and of this test, and the libraries that they are linked with."""
    listed = run("chroot", merged, "dpkg", "-L", *PACKAGES).splitlines()
    own = [f"/{path.relative_to(merged)}" for folder in ("etc/systemd", "usr/local/bin", "usr/local/lib")
           for path in (merged / folder).rglob("*") if folder.startswith("etc") or path.name in ("toy_trainer", "preloaded.so")]
    names = {name for name in (*listed, *own, *ACCOUNTS, "/etc/machine-id", "/etc/hostname", "/etc/trainer-supervisor/config.yaml")
             if name.startswith("/") and not LEFT_OUT.search(name) and os.path.lexists(merged / name[1:])}
    programs = [name for name in names if is_elf(merged / name[1:])]
    linked = subprocess.run(["chroot", str(merged), "ldd", *programs], capture_output=True, text=True, check=False).stdout
    libraries = set(re.findall(r"(/\S+) \(0x", linked))
    return names | libraries | set(run("chroot", merged, "readlink", "-f", *libraries).split())


def is_elf(path):
    if path.is_symlink() or not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def copy_selected(merged, tree):
    for name in ("dev", "proc", "run", "sys", "tmp", "var/lib", "var/log"):
        (tree / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        if (merged / name).is_symlink():
            (tree / os.readlink(merged / name)).mkdir(parents=True)
            (tree / name).symlink_to(os.readlink(merged / name))
    names = "\n".join(sorted(name[1:] for name in select(merged) if name != "/"))
    with subprocess.Popen(["tar", "-C", str(merged), "-c", "--no-recursion", "-T", "-"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as packer:
        unpacker = subprocess.Popen(["tar", "-C", str(tree), "-x", "--numeric-owner"], stdin=packer.stdout)
        packer.stdin.write(names.encode())
        packer.stdin.close()
        statuses = unpacker.wait(), packer.wait()
    if statuses != (0, 0):
        raise AssertionError(f"the files of the guest could not be copied: tar ended with {statuses}")


def write_disk(path, tree):
    run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0", "-d", tree, path, f"{DISK_SIZE >> 10}k")


def emulator(kernel, initrd, disk, console, told):
    """The command. The emulator hands each write to the kernel below before it says that it is done, and ends with us."""
    image = next((kernel / "boot").glob("vmlinuz-*"))
    return ["/usr/bin/setpriv", "--pdeathsig", "KILL", QEMU, "-accel", "tcg", "-m", "512", "-smp", "1", "-nodefaults",
            "-no-reboot", "-display", "none", "-kernel", image, "-initrd", initrd,
            "-append", f"console=ttyS0 quiet panic=-1 {LAZY}",
            "-drive", f"file={disk},if=none,id=disk,format=raw,cache=writeback", "-device", "virtio-blk-pci,drive=disk",
            "-serial", f"file:{console}", "-serial", f"file:{told}"]
