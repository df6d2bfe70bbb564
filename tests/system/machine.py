"""A machine of its own for a test: a real systemd in a container over an overlay of this system's files.

Nothing of it reaches the system below: the overlay's upper layer is a tmpfs, the network is private, and the container
is not registered anywhere. Needs root, overlayfs and systemd-nspawn (package systemd-container).
"""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

PATIENCE = float(os.environ.get("TS_PATIENCE", "1"))


class Machine:
    """Boots when made, to basic.target; `close` takes it down and its files away. Between `shut_down` or `cut_power` and
    `boot` its files stay, but for /run."""

    def __init__(self):
        if os.geteuid() != 0:
            raise unittest.SkipTest("a systemd of our own needs root")
        for program, package in (("systemd-nspawn", "systemd-container"), ("nsenter", "util-linux")):
            if not shutil.which(program):
                raise unittest.SkipTest(f"{program} is not installed (package {package})")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ts-machine-")).resolve()
        self.root = self.folder / "root"
        self._mounted = []
        self._container = None
        self.init = 0
        try:
            self._mount()
            (self.root / "etc/machine-id").unlink(missing_ok=True)
            trouble = self._boot("basic.target")
            if trouble:
                raise unittest.SkipTest(f"no systemd can be booted here: {trouble}")
        except BaseException:
            self.close()
            raise

    def _mount(self):
        layers = self.folder / "layers"
        for folder in (self.root, layers):
            folder.mkdir()
        self._mount_at(layers, "-t", "tmpfs", "tmpfs")
        for name in ("upper", "work"):
            (layers / name).mkdir()
        self._mount_at(self.root, "-t", "overlay", "overlay", "-o",
                       f"lowerdir=/,upperdir={layers}/upper,workdir={layers}/work")

    def _mount_at(self, where, *arguments):
        done = subprocess.run(["mount", *arguments, str(where)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise unittest.SkipTest(f"no overlay can be mounted here: {done.stderr.strip()}")
        self._mounted.append(where)

    def _boot(self, target):
        """Returns what went wrong, or nothing."""
        self.init = 0
        command = ["systemd-nspawn", "--quiet", "-D", str(self.root), "--boot", "--register=no", "--keep-unit", "--private-network",
                   "--machine=" + self.folder.name.replace("_", "x"), "--", f"systemd.unit={target}"]
        with open(self.folder / "boot.log", "wb") as log:
            self._container = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                               start_new_session=True)
        children = pathlib.Path(f"/proc/{self._container.pid}/task/{self._container.pid}/children")
        until = time.monotonic() + 60 * PATIENCE
        while time.monotonic() < until and self._container.poll() is None:
            found = children.read_text(encoding="ascii").split()
            if found:
                self.init = int(found[0])
                if self.run("systemctl", "is-active", target, check=False).stdout == "active\n":
                    return ""
            time.sleep(0.1)
        log = (self.folder / "boot.log").read_text(encoding="utf-8", errors="replace")
        return " / ".join(log.splitlines()[-3:]) or "it does not come up"

    def start_nothing_else(self):
        """Nothing that the system below has enabled is started by `boot`. Done inside, where no link leads out."""
        for folder in ("/etc/systemd/system", "/usr/lib/systemd/system"):
            self.run("sh", "-c", f"rm -f {folder}/multi-user.target.wants/* {folder}/multi-user.target.requires/*")

    def is_down(self):
        return self._container.poll() is not None

    def boot(self):
        """Again, and all the way."""
        trouble = self._boot("multi-user.target")
        if trouble:
            raise AssertionError(f"the machine does not boot again: {trouble}")

    def shut_down(self, verb):
        """`systemctl poweroff` or `reboot`, and waits until it is down; either way it stays down until `boot`."""
        self.run("systemctl", "--no-block", verb)
        self._container.wait(120 * PATIENCE)

    def cut_power(self):
        os.kill(self.init, signal.SIGKILL)
        self._container.wait(30)

    def run(self, *command, check=True):
        """Runs a command inside."""
        done = subprocess.run(["nsenter", "-t", str(self.init), "-m", "-u", "-i", "-n", "-p", "-C", "--", *map(str, command)],
                              capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=300 * PATIENCE,
                              env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"})
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, command))}: status {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def close(self):
        if self._container and self._container.poll() is None:
            # The end of its init is the end of everything in it.
            os.kill(self.init or self._container.pid, signal.SIGKILL)
            try:
                self._container.wait(30)
            except subprocess.TimeoutExpired:
                self._container.kill()
                self._container.wait(30)
        for where in reversed(self._mounted):
            subprocess.run(["umount", str(where)], check=True)
        self._mounted.clear()
        shutil.rmtree(self.folder, ignore_errors=True)
