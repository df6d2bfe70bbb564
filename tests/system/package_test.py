#!/usr/bin/python3
"""The Debian package under a real systemd: installed, upgraded, removed, through reboots, several runs, without root."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import uuid

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from harness import BIN, ROOT, main  # noqa: E402
from machine import PATIENCE, Machine  # noqa: E402

BUILD = pathlib.Path(os.environ.get("TS_BUILD", ROOT / "build/release"))
NAME = "trainer-supervisor"
UPGRADE = "99.0"  # the version of the package that is an upgrade
CONFIG = f"etc/{NAME}/config.yaml"
TOY = ("/usr/local/bin/toy_trainer", "--config", "{config}")


def build_package(folder):
    """The package that cmake --build --target deb makes, without building anything."""
    done = subprocess.run(["cpack", "--config", str(BUILD / "CPackConfig.cmake"), "-B", str(folder)],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"cpack: {done.stdout}{done.stderr}")
    return next(folder.glob("*.deb"))


def upgrade_of(package, folder):
    """The same again, as a later version with another configuration."""
    tree = folder / "tree"
    subprocess.run(["dpkg-deb", "-R", str(package), str(tree)], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {UPGRADE}", control.read_text(encoding="utf-8")), encoding="utf-8")
    with open(tree / CONFIG, "a", encoding="utf-8") as file:
        file.write(f"# {UPGRADE}\n")
    made = folder / "upgrade.deb"
    subprocess.run(["dpkg-deb", "-Znone", "-b", str(tree), str(made)], check=True, stdout=subprocess.DEVNULL)
    return made


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for program in (NAME, "supervisorctl", "toy_trainer"):
            if not (BIN / program).exists():
                raise unittest.SkipTest(f"{program} is not built")
        for program, package in (("cpack", "cmake"), ("dpkg-shlibdeps", "dpkg-dev"), ("file", "file")):
            if not shutil.which(program):
                raise unittest.SkipTest(f"{program} is not installed (package {package})")
        folder = pathlib.Path(tempfile.mkdtemp(prefix="ts-package-"))
        cls.addClassCleanup(shutil.rmtree, folder)
        package = build_package(folder)
        cls.control, cls.contents = (
            subprocess.run(["dpkg-deb", what, str(package)], check=True, capture_output=True, text=True).stdout
            for what in ("-f", "-c"))
        later = upgrade_of(package, folder)
        cls.machine = Machine()
        cls.addClassCleanup(cls.machine.close)
        for made, name in ((package, "package.deb"), (later, "upgrade.deb"), (BIN / "toy_trainer", "usr/local/bin/toy_trainer")):
            shutil.copy(made, cls.machine.root / name)
        cls.machine.start_nothing_else()
        cls.machine.run("useradd", "--create-home", "ada")
        cls.machine.run("useradd", "--create-home", "eve")

    def setUp(self):
        self.inside = self.machine.run
        self.root = self.machine.root
        self.models = self.root / "var/lib" / NAME / "models"
        # Left installed between two tests, which saves most of their time.
        if not self.installed().startswith("installed") or UPGRADE in self.installed():
            self.inside("dpkg", "--purge", NAME, check=False)
            self.install("package.deb")
            type(self).as_installed = (self.root / CONFIG).read_text(encoding="utf-8")
        self.configure()
        self.addCleanup(self._reset)

    def _reset(self):
        failed = any(test is self for test, _ in self._outcome.result.failures + self._outcome.result.errors)
        if failed and not self.machine.is_down():
            print(self.inside("journalctl", "--no-pager", "-n", "80", check=False).stdout, file=sys.stderr)
        if self.machine.is_down():
            self.machine.boot()
        self.inside("systemctl", "stop", f"{NAME}.service", f"{NAME}@*.service", check=False)
        self.inside("sh", "-c", f"rm -rf /var/lib/{NAME}* /var/log/{NAME}* /etc/systemd/system/*.wants/{NAME}* /etc/{NAME}/*")
        self.inside("systemctl", "daemon-reload")
        self.inside("systemctl", "reset-failed", f"{NAME}.service", f"{NAME}@*.service", check=False)

    # ---- helpers

    def installed(self):
        return self.inside("dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", NAME, check=False).stdout

    def install(self, package):
        """What dpkg says. The dependencies are there: what the programs were built with depends on them."""
        done = self.inside("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--force-unsafe-io", "--force-confold", "-i",
                           f"/{package}")
        return done.stdout + done.stderr

    def configure(self, name="config", text=None, episodes=1000000, save_frequency=1000000):
        """A configuration as it is installed, with a toy as the worker, which by default saves only when it is stopped."""
        text = (text or self.as_installed).replace("\nsupervisor:\n", "\nsupervisor:\n  heartbeat_interval: 200ms\n")
        text = text.replace("\ncheckpoints:\n", f"\ncheckpoints:\n  save_frequency: {save_frequency}\n")
        text += f"training: {{episodes: {episodes}}}\nworker: {{command: {json.dumps(list(TOY))}}}\n"
        (self.root / "etc" / NAME / f"{name}.yaml").write_text(text, encoding="utf-8")

    def configure_run(self, name):
        """As docs/OPERATING.md says it."""
        template = (self.root / "usr/share" / NAME / "run.yaml").read_text(encoding="utf-8")
        self.configure(name, template.replace("NAME", name))

    def ask(self, *options):
        shown = self.inside("supervisorctl", *options, "status", "--json", check=False).stdout
        return json.loads(shown) if shown.startswith("{") else {}

    def until(self, holds, what, seconds=60):
        end = time.monotonic() + seconds * PATIENCE
        while True:
            value = holds()
            if value:
                return value
            if time.monotonic() > end:
                self.fail(f"waited in vain for {what}; status: {self.ask()}")
            time.sleep(0.05)

    def training(self, *options):
        """Waits for a worker that trains. Returns its process id."""
        def there():
            status = self.ask(*options)
            return status["worker"]["pid"] if status.get("state") == "running" and status["episode"] > 12 else 0
        return self.until(there, "a worker that trains")

    def start(self, unit=NAME, *options):
        self.inside("systemctl", "start", unit)
        return self.training(*options)

    def show(self, name, unit=NAME):
        return self.inside("systemctl", "show", "-P", name, unit).stdout.strip()

    def sidecars(self, models=None):
        return {path.name: path.read_bytes() for path in (models or self.models).glob("model_ep*.json")}

    def newest(self):
        names = sorted(self.sidecars(), key=lambda name: int(re.search(r"\d+", name)[0]))
        return json.loads((self.models / names[-1]).read_text(encoding="utf-8"))

    # ---- the package

    def test_it_brings_what_it_needs_and_starts_nothing_by_itself(self):
        self.inside("dpkg", "--purge", NAME)
        self.install("package.deb")
        for wanted in (r"^Depends:.*\bsystemd\b", r"^Depends:.*\blibboost-json", r"^Conflicts: supervisor$"):
            self.assertRegex(self.control, re.compile(wanted, re.MULTILINE))
        self.assertEqual(self.inside("systemctl", "is-enabled", NAME, check=False).stdout, "disabled\n")
        self.assertEqual(self.show("ActiveState"), "inactive")
        self.inside("getent", "passwd", NAME)
        for file in ("bin/supervisorctl", "share/man/man1/supervisorctl.1.gz", f"share/man/man8/{NAME}.8.gz",
                     f"share/man/man5/{NAME}.yaml.5.gz", "share/bash-completion/completions/supervisorctl"):
            self.assertIn(f" ./usr/{file}\n", self.contents)
        self.install("upgrade.deb")
        self.assertEqual((self.root / CONFIG).read_text(encoding="utf-8"), f"{self.as_installed}# {UPGRADE}\n")
        self.assertEqual(self.show("ActiveState"), "inactive")

    def test_members_of_the_group_may_ask_and_others_are_told_what_to_do(self):
        self.start()
        refused = self.inside("runuser", "-u", "eve", "--", "supervisorctl", "status", check=False)
        self.assertEqual((refused.returncode, refused.stdout), (4, ""))
        self.assertRegex(refused.stderr, "you may not ask the supervisor.* or as a member of its group")
        self.assertEqual(self.inside("runuser", "-u", "ada", "--", "supervisorctl", "status", check=False).returncode, 4)
        self.inside("usermod", "-aG", NAME, "ada")
        self.addCleanup(self.inside, "gpasswd", "-d", "ada", NAME)
        self.assertIn("running", self.inside("runuser", "-u", "ada", "--", "supervisorctl", "status").stdout)

    def test_P6_an_upgrade_replaces_the_daemons_and_every_worker_trains_on(self):
        self.configure_run("night")
        runs = {NAME: (), f"{NAME}@night": ("--config", f"/etc/{NAME}/night.yaml")}
        workers = {unit: self.start(unit, *options) for unit, options in runs.items()}
        daemons = {unit: self.show("MainPID", unit) for unit in runs}
        changed = (self.root / CONFIG).read_text(encoding="utf-8")
        said = self.install("upgrade.deb")
        # One line for each, and no table of the settings.
        self.assertEqual(sorted(re.findall(r"^.*(?:daemon|worker|save_frequency).*$", said, re.MULTILINE)),
                         [f"{NAME}: the daemon of {unit}.service is replaced; its worker trains on." for unit in runs])
        self.assertEqual(self.installed(), f"installed {UPGRADE}")
        for unit, options in runs.items():
            self.until(lambda u=unit, o=options: "adopted" in self.ask(*o).get("reason", ""), f"the next daemon of {unit}")
            self.assertEqual(self.training(*options), workers[unit])
            self.assertNotEqual(self.show("MainPID", unit), daemons[unit])
        self.assertEqual((self.root / CONFIG).read_text(encoding="utf-8"), changed, "what an administrator changed is his")
        self.assertIn(UPGRADE, (self.root / f"{CONFIG}.dpkg-dist").read_text(encoding="utf-8"))

    def test_P6_an_upgrade_that_refuses_the_configuration_leaves_the_daemon_as_it_is(self):
        worker = self.start()
        daemon = self.show("MainPID")
        with open(self.root / CONFIG, "a", encoding="utf-8") as file:
            file.write("nonsense: 1\n")
        said = self.install("upgrade.deb")
        self.assertIn("goes on with the daemon that runs, because this version refuses", said)
        time.sleep(2)
        self.assertEqual((self.show("MainPID"), self.training()), (daemon, worker))

    def test_P2_a_purge_stops_the_runs_and_keeps_every_checkpoint_and_nothing_else(self):
        self.configure_run("night")
        self.inside("systemctl", "enable", NAME, f"{NAME}@night")
        self.start()
        self.start(f"{NAME}@night", "--config", f"/etc/{NAME}/night.yaml")
        self.inside("dpkg", "--remove", NAME)
        self.assertEqual(self.inside("ps", "-u", NAME, "-o", "comm=", check=False).stdout, "")
        self.assertEqual(self.newest()["reason"], "signal", "the worker was not given the time to save")
        self.assertTrue((self.root / CONFIG).exists(), "a removal is no purge")
        night = self.root / f"var/lib/{NAME}@night/models"
        before = self.sidecars(), self.sidecars(night)
        self.assertTrue(all(before))
        purged = self.inside("dpkg", "--purge", NAME)
        self.assertIn("holds what was trained, and is kept", purged.stderr)
        self.assertEqual((self.sidecars(), self.sidecars(night)), before)
        self.inside("getent", "passwd", NAME)  # its owner
        for folder in ("/etc", "/usr", "/var/log", "/run/systemd", "/var/lib/dpkg/info"):
            left = self.inside("find", folder, "-xdev", "-name", "*trainer-supervisor*").stdout.split()
            self.assertEqual(left, ["/etc/trainer-supervisor"] if folder == "/etc" else [])
        self.assertEqual(os.listdir(self.root / "etc" / NAME), ["night.yaml"], "what an administrator wrote is his")
        self.install("package.deb")
        self.configure()
        self.start()
        self.assertIsNotNone(self.ask()["worker"]["resumed_from"])

    # ---- units

    def test_P5_a_run_moves_to_another_machine(self):
        """The commands of docs/OPERATING.md; there the service's user has another number."""
        home = f"/var/lib/{NAME}"
        self.start()
        self.inside("systemctl", "disable", "--now", NAME)
        stopped = self.newest()
        self.inside("tar", "-C", home, "-cf", "/var/tmp/run.tar", "models")
        self.inside("rm", "-rf", home)
        number = self.inside("id", "-u", NAME).stdout.strip()
        self.inside("usermod", "-u", "4711", NAME)
        self.addCleanup(self.inside, "usermod", "-u", number, NAME)
        self.addCleanup(self.inside, "systemctl", "stop", NAME)  # before that
        self.inside("install", "-d", "-o", NAME, "-g", NAME, "-m", "750", home)
        self.inside("tar", "-C", home, "-xf", "/var/tmp/run.tar")
        self.inside("chown", "-R", f"{NAME}:", f"/var/log/{NAME}")  # the log is not of the other machine
        self.inside("systemctl", "enable", "--now", NAME)
        self.training()
        status = self.ask()
        self.assertEqual(status["worker"]["resumed_from"]["episode"], stopped["episode"])
        self.assertEqual(status["run_id"], stopped["run_id"])

    def test_P4_two_runs_side_by_side_share_nothing(self):
        pids = {}
        for name in ("day", "night"):
            self.configure_run(name)
            pids[name] = self.start(f"{NAME}@{name}", "--config", f"/etc/{NAME}/{name}.yaml")
        pids["config"] = self.start()
        self.assertEqual(len(set(pids.values())), 3)
        self.inside("systemctl", "stop", NAME, f"{NAME}@day")
        self.assertEqual(self.ask("--socket", f"/run/{NAME}@day/control.sock"), {})
        self.assertEqual(self.training("--socket", f"/run/{NAME}@night/control.sock"), pids["night"])
        for folder in ("var/lib", "var/log"):
            for name in ("day", "night"):
                self.assertEqual((self.root / folder / f"{NAME}@{name}").stat().st_mode & 0o7777, 0o750)
        # A run may not write where another does.
        refused = self.inside("nsenter", "-t", str(pids["night"]), "-m", "--", "touch", f"/var/lib/{NAME}@day/models/mine", check=False)
        self.assertIn("Read-only file system", refused.stderr)

    def test_the_units_are_in_order_and_tight(self):
        self.configure_run("night")
        gpu = f"/run/systemd/system/{NAME}@gpu.service.d"
        self.configure_run("gpu")
        self.inside("mkdir", "-p", gpu)
        self.addCleanup(self.inside, "rm", "-rf", gpu)
        self.inside("cp", f"/usr/share/doc/{NAME}/systemd/gpu.conf", gpu)
        self.inside("systemctl", "daemon-reload")
        for unit in (NAME, f"{NAME}@night", f"{NAME}@gpu"):
            verified = self.inside("systemd-analyze", "verify", f"{unit}.service")
            self.assertEqual(verified.stdout + verified.stderr, "")
        rated = self.inside("systemd-analyze", "security", "--threshold=15", "--no-pager", NAME, f"{NAME}@night",
                            f"{NAME}-leftovers@{NAME}", check=False)
        self.assertEqual(rated.returncode, 0, rated.stdout[-500:])
        self.start(f"{NAME}@gpu", "--config", f"/etc/{NAME}/gpu.yaml")
        self.assertEqual((self.show("PrivateDevices", f"{NAME}@gpu"), self.show("PrivateDevices")), ("no", "yes"))

    def test_P6_without_root_a_users_own_systemd_runs_it(self):
        home, runtime = "/home/ada", "/run/ada"
        def as_ada(*command, check=True):
            return self.inside("runuser", "-u", "ada", "--", "env", f"HOME={home}", f"XDG_RUNTIME_DIR={runtime}", *command, check=check)
        self.inside("systemd-run", "--quiet", "--unit=ada", "-p", "User=ada", "-p", "Delegate=yes", "-p", "RuntimeDirectory=ada",
                    "-E", f"XDG_RUNTIME_DIR={runtime}", "-E", f"HOME={home}", "/usr/lib/systemd/systemd", "--user")
        self.addCleanup(self.inside, "systemctl", "stop", "ada")
        self.until(lambda: as_ada("systemctl", "--user", "is-active", "default.target", check=False).stdout == "active\n", "ada's systemd")
        config = f"{home}/.config/{NAME}/config.yaml"
        template = (self.root / "usr/share" / NAME / "user.yaml").read_text(encoding="utf-8").replace("HOME", home)
        self.configure("ada", template)
        as_ada("mkdir", "-p", f"{home}/.config/{NAME}")
        as_ada("cp", f"/etc/{NAME}/ada.yaml", config)
        as_ada("systemctl", "--user", "start", NAME)
        worker = self.training("--config", config)
        as_ada("systemctl", "--user", "kill", "--signal=KILL", "--kill-whom=main", NAME)
        self.until(lambda: "adopted" in self.ask("--config", config).get("reason", ""), "the next daemon")
        self.assertEqual(self.training("--config", config), worker)
        # And in the moment when there is none.
        as_ada("systemctl", "--user", "kill", "--signal=KILL", "--kill-whom=main", NAME)
        as_ada("systemctl", "--user", "stop", NAME)
        # A stop that meets a daemon in the moment of its death is over before what it has left is ended.
        self.until(lambda: "toy_trainer" not in self.inside("ps", "-u", "ada", "-o", "comm=", check=False).stdout, "the worker's end")
        self.assertTrue(self.sidecars(self.root / f"home/ada/.local/state/{NAME}/models"))

    # ---- the machine goes down

    def test_P5_P11_a_reboot_saves_and_the_run_resumes_by_itself_and_says_why(self):
        self.inside("systemctl", "enable", NAME)
        self.start()
        self.machine.shut_down("reboot")
        saved = self.newest()
        self.assertEqual(saved["reason"], "signal", "the worker was not given the time to save")
        self.machine.boot()
        self.training()
        self.assertEqual(self.ask()["worker"]["resumed_from"]["episode"], saved["episode"])
        log = (self.root / "var/log" / NAME / "supervisor.log").read_text(encoding="utf-8")
        self.assertIn(f"Auto-resuming from episode {saved['episode']}: ", log)

    def test_P5_P11_a_power_cut_is_told_from_a_death_and_the_run_resumes_by_itself(self):
        self.configure(save_frequency=10)
        # Every boot gets an id of its own, as on a machine. What systemd-nspawn makes up for that, a unit like ours, which
        # has a /proc of its own, does not see.
        folder = self.root / f"etc/systemd/system/{NAME}.service.d"
        folder.mkdir()
        self.addCleanup(shutil.rmtree, folder)
        (folder / "boot.conf").write_text("[Service]\nBindReadOnlyPaths=/boot_id:/proc/sys/kernel/random/boot_id\n",
                                          encoding="utf-8")
        (self.root / "boot_id").write_text(f"{uuid.uuid4()}\n", encoding="utf-8")
        self.inside("systemctl", "daemon-reload")
        self.inside("systemctl", "enable", NAME)
        self.start()
        self.machine.cut_power()
        (self.root / "boot_id").write_text(f"{uuid.uuid4()}\n", encoding="utf-8")
        self.machine.boot()
        self.training()
        self.assertIsNotNone(self.ask()["worker"]["resumed_from"])
        log = (self.root / "var/log" / NAME / "supervisor.log").read_text(encoding="utf-8")
        self.assertIn("the machine has been restarted since, or has lost power", log)

    def test_P1_a_poweroff_ends_the_training_cleanly(self):
        self.start()
        self.machine.shut_down("poweroff")
        self.assertEqual(self.newest()["reason"], "signal", "the worker was not given the time to save")
        self.machine.boot()
        self.inside("supervisorctl", "--config", f"/etc/{NAME}/config.yaml", "checkpoints", "verify")

    def test_a_finished_run_does_not_train_again_after_a_reboot(self):
        self.configure(episodes=20)
        self.inside("systemctl", "enable", "--now", NAME)
        self.until(lambda: self.ask().get("state") == "finished", "the end of the run")
        before = self.sidecars()
        self.machine.shut_down("reboot")
        self.machine.boot()
        self.until(lambda: self.ask().get("state") == "finished", "the supervisor")
        self.assertEqual((self.ask()["worker"], self.sidecars()), (None, before))


if __name__ == "__main__":
    main()
