#!/usr/bin/python3
"""The command line of supervisorctl as a person meets it: help, manual pages, completions, wrong use, waiting,
watching, saving now, and what a terminal's width and colours do to the status."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
from harness import ProgramTest, main  # noqa: E402
from terminal import Terminal  # noqa: E402

OK, FAILED, USAGE, NOT_RUNNING, NO_DAEMON, TIMED_OUT = range(6)
PROGRAMS = ("trainer-supervisor", "supervisorctl", "toy_trainer")


class CommandLineTest(ProgramTest):
    needs = PROGRAMS

    def setUp(self):
        super().setUp()
        self.configure(training={"episodes": 100_000}, worker={"command": self.toy("--step-ms", 1)})

    def ask(self, status, *arguments):
        result = self.ctl(*arguments)
        said = result.stdout + result.stderr
        self.assertEqual(result.returncode, status, f"{arguments}: {said}")
        return said

    def end(self, supervisor):
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.assert_nothing_left()


def verbs_in(help_text):
    """The verbs that a --help lists."""
    listed = help_text.split("Subcommands:")[-1] if "Subcommands:" in help_text else ""
    return re.findall(r"(?m)^  ([a-z]+) ", listed)


class Help(CommandLineTest):
    def paths(self):
        found = []
        for verb in verbs_in(self.ask(OK, "--help")):
            inner = verbs_in(self.ask(OK, verb, "--help"))
            found += [(verb, name) for name in inner] or [(verb,)]
        return found

    def test_every_verb_has_an_example_that_parses(self):
        paths = self.paths()
        self.assertGreater(len(paths), 20)
        for path in paths:
            said = self.ask(OK, *path, "--help")
            examples = re.findall(r"(?m)(?:Example: |^  )(?:source <\()?(supervisorctl [^\n)]*)", said.split("Example")[-1]
                                  if "Example" in said else "")
            examples = examples or re.findall(r"Example: (?:source <\()?(supervisorctl [^\n)]*)", said)
            self.assertTrue(examples, f"{path}: {said}")
            for example in examples:
                asked = self.run_program("supervisorctl", *example.split()[1:], "--help")
                self.assertEqual(asked.returncode, 0, f"{example}: {asked.stderr}")

    def test_the_manual_pages_are_sound_and_complete(self):
        tool = shutil.which("mandoc")
        build = os.environ["TS_BUILD"]
        pages = ["supervisorctl.1", "trainer-supervisor.8", "trainer-supervisor.yaml.5"]
        for page in pages:
            path = os.path.join(build, "manuals", page)
            text = pathlib.Path(path).read_text(encoding="utf-8")
            self.assertTrue(text.startswith(".TH "), page)
            if tool:
                checked = subprocess.run([tool, "-T", "lint", "-W", "warning", path], capture_output=True, text=True)
                problems = [line for line in checked.stdout.splitlines() if "missing date" not in line]
                self.assertEqual(problems, [], page)
        text = pathlib.Path(build, "manuals", pages[0]).read_text(encoding="utf-8").replace("\\-", "-")
        for path in self.paths():
            self.assertRegex(text, r'(?m)^\.SS "' + " ".join(path))
        text = pathlib.Path(build, "manuals", pages[2]).read_text(encoding="utf-8")
        for key in ("save_frequency", "heartbeat_timeout", "on_event"):
            self.assertIn(f'.BR "{key}"', text)


class Completion(CommandLineTest):
    def complete(self, *words):
        """What bash offers for the last of these words."""
        script = self.ask(OK, "completion", "bash")
        line = " ".join(f"'{word}'" for word in words)
        ask = (f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; "
               "_supervisorctl; printf '%s\\n' \"${COMPREPLY[@]}\"")
        result = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, cwd=self.folder, check=True)
        self.assertEqual(result.stderr, "")
        return set(result.stdout.split())

    def test_bash_completes_verbs_options_and_selectors(self):
        self.assertEqual(self.complete("supervisorctl", "sta"), {"status", "start"})
        self.assertEqual(self.complete("supervisorctl", "checkpoints", "un"), {"unpin"})
        self.assertIn("--no-wait", self.complete("supervisorctl", "restart", "--"))
        self.assertIn("latest", self.complete("supervisorctl", "checkpoints", "show", ""))
        self.assertEqual(self.complete("supervisorctl", "completion", ""), {"bash", "zsh", "fish"})
        self.assertEqual(self.complete("supervisorctl", "wait", "--until", ""), {"running", "stopped", "finished"})
        self.assertLessEqual({"latest", "best", "config.yaml"}, self.complete("supervisorctl", "restart", "--from", ""))
        self.assertEqual(self.complete("supervisorctl", "metrics", "--plot", ""), set())
        # A value is none of the verbs, and what follows it is completed as if it were not there.
        self.assertIn("config.yaml", self.complete("supervisorctl", "--config", "conf"))
        self.assertEqual(self.complete("supervisorctl", "--config", "status", "rest"), {"restart"})
        self.assertEqual(self.complete("supervisorctl", "nonsense", "reloa"), {"reload"})

    def test_the_other_shells_accept_their_scripts(self):
        for shell in ("zsh", "fish"):
            script = os.path.join(self.folder, "script")
            with open(script, "w", encoding="utf-8") as file:
                file.write(self.ask(OK, "completion", shell))
            if not shutil.which(shell):
                print(f"{shell} is not installed: its script was not read by it", file=sys.stderr)
                continue
            checked = subprocess.run([shell, "-n", script], capture_output=True, text=True)
            self.assertEqual((checked.returncode, checked.stderr), (0, ""), shell)
        if shutil.which("fish"):
            asked = subprocess.run(["fish", "--no-config", "-c", f"source {script}; complete -C 'supervisorctl checkpoints ver'"],
                                   capture_output=True, text=True, check=True)
            self.assertEqual(asked.stdout.split("\t")[0], "verify")

    def test_an_unknown_shell_is_refused(self):
        self.assertIn("bash, zsh and fish", self.ask(USAGE, "completion", "powershell"))


class WrongUse(CommandLineTest):
    def test_p7_the_nearest_verb_and_option_are_named(self):
        for arguments, hint in ((("statsu",), "did you mean status?"), (("checkpoints", "lsit"), "did you mean list?"),
                                (("status", "--jsn"), "did you mean --json?"), (("status", "now"), "one word too many"),
                                ((), "supervisorctl --help"), (("config",), "supervisorctl config --help"),
                                (("qqqqq",), "there is no verb qqqqq."), (("st\x1b[2J",), "there is no verb st\\x1b[2J"),
                                (("restart", "--from"), "supervisorctl restart --help"),
                                (("restart", "ep200"), "did you mean --from ep200? supervisorctl restart --help"),
                                (("checkpoints", "show"), "latest|best|epN|FILE: Which one. supervisorctl checkpoints show --help"),
                                (("checkpoints", "diff", "ep1"), "latest|best|epN|FILE: The other."),
                                (("release", "ep10"), "there is no verb release; did you mean checkpoints release?"),
                                (("release", "--help"), "did you mean checkpoints release?"),
                                (("status", "now", "--help"), "one word too many"),
                                (("--socket",), "--socket"), (("wait", "--until", "stopped", "--timeout", "10m"), "10m is no whole number of seconds"),
                                (("events", "-n", "1001"), "1001 is no whole number from 0 to 1000"),
                                (("logs", "-n", "-1"), "-1 is no whole number from 0 to 1000"),
                                (("incidents", "-n", "0"), "0 is no whole number from 1 to 100"),
                                (("metrics", "--last", "1.5"), "1.5 is no whole number from 1 to"),
                                (("stop", "--timeout", "x"), "supervisorctl stop --help"),
                                (("wait", "--until", "later"), "episode=N")):
            said = self.ask(USAGE, *arguments)
            self.assertIn(hint, said, arguments)
            self.assertTrue(said.startswith("supervisorctl: "), said)
            self.assertNotIn("\x1b", said)

    def test_no_help_speaks_the_language_of_programmers(self):
        for verb in ("", "events", "logs", "incidents", "metrics", "stop", "wait", "restart"):
            said = self.ask(OK, *filter(None, (verb, "--help")))
            self.assertNotRegex(said, r"UINT|INT\b| in \[", verb)

    def test_p7_the_daemon_and_the_trainer_say_it_alike(self):
        for program, option, hint in (("trainer-supervisor", "--frsh", "did you mean --fresh?"),
                                      ("trainer", "--resum", "did you mean --resume?"), ("trainer", "now", "one word too many")):
            if not self.program(program).exists():
                continue  # built without libtorch
            refused = self.run_program(program, option)
            self.assertEqual(refused.returncode, 78, "as the exit codes of a worker have it")
            self.assertEqual(refused.stdout, "")
            self.assertTrue(refused.stderr.startswith(f"{program}: "), refused.stderr)
            self.assertIn(hint, refused.stderr)
            self.assertIn(f"{program} --help says what there is.", refused.stderr)

    def test_p7_where_no_supervisor_was_found_is_said(self):
        self.assertIn("/config.yaml): No such file", self.ask(NO_DAEMON, "status"))
        self.assertIn("/nowhere.sock (given with --socket): ", self.ask(NO_DAEMON, "--socket", "/nowhere.sock", "status"))
        asked = self.run_program("supervisorctl", "status", TRAINER_SUPERVISOR_SOCKET="/none.sock")
        self.assertEqual(asked.returncode, NO_DAEMON)
        self.assertIn("/none.sock (from TRAINER_SUPERVISOR_SOCKET): ", asked.stderr)
        self.assertIn("./run_training.sh", asked.stderr)
        empty = os.path.join(self.folder, "empty")
        os.mkdir(empty)
        asked = subprocess.run([self.program("supervisorctl"), "status"], cwd=empty, capture_output=True, text=True)
        self.assertEqual(asked.returncode, NO_DAEMON)
        self.assertIn("/run/trainer-supervisor/control.sock (the service's, since there is no config/config.yaml here",
                      asked.stderr)


class EditedConfiguration(CommandLineTest):
    """Whoever has just edited the configuration still reaches the supervisor that runs with what it was before."""

    def test_p7_a_mistake_in_it_locks_nobody_out(self):
        supervisor = self.supervise()
        worker = self.running_worker()
        good = self.config_file.read_text(encoding="utf-8")
        self.config_file.write_text(good.replace("100000", '"many"'), encoding="utf-8")
        said = self.ask(OK, "status")
        self.assertIn("training.episodes must be", said)
        self.assertIn("goes on with what it read before; asking it on models/.supervisor/control.sock", said)
        self.assertRegex(said, r"(?m)^running for ")
        self.assertIn("and nothing was changed", self.ask(USAGE, "reload"))
        self.assertRegex(self.ask(FAILED, "doctor"), "a supervisor answers on models/.supervisor/control.sock: running")
        self.ask(OK, "incidents")
        self.assertEqual(self.worker(), worker)

        # Where the mistake may hide the socket, nobody is asked by guess.
        for text in (good.replace("{", '{"checkpoint": {"directory": "m"}, ', 1), "training: {episodes: ["):
            self.config_file.write_text(text, encoding="utf-8")
            self.assertIn("try --socket models/.supervisor/control.sock", self.ask(USAGE, "stop"))
        self.assertEqual(self.worker(), worker)
        self.ask(OK, "--socket", "models/.supervisor/control.sock", "stop")
        self.end(supervisor)

    def test_p4_another_directory_in_it_does_not_make_a_second_run(self):
        supervisor = self.supervise()
        self.running_worker()
        self.configure(checkpoints={"directory": "elsewhere"})
        said = self.ask(NO_DAEMON, "reload")
        self.assertIn("no supervisor answers on elsewhere/.supervisor/control.sock", said)
        self.assertIn("one listens on models/.supervisor/control.sock: if that is the one", said)
        self.assertIn("--socket models/.supervisor/control.sock", said)
        self.end(supervisor)


class Elsewhere(CommandLineTest):
    def in_an_empty_directory(self, *arguments, etc=None):
        """What is said there, where /etc holds this and nothing else."""
        empty = self.folder / "empty"
        empty.mkdir(exist_ok=True)
        command = [self.program("supervisorctl"), *arguments]
        if etc is not None:
            script = 'mount --bind "$0" /etc && exec "$@"'
            own = [] if os.geteuid() == 0 else ["-r"]
            command = ["unshare", *own, "-m", "sh", "-c", script, etc, *command]
        asked = subprocess.run(command, cwd=empty, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return asked.returncode, asked.stdout + asked.stderr

    def test_no_configuration_at_all_is_not_to_be_made_up(self):
        for verb in (("checkpoints",), ("metrics",)):
            status, said = self.in_an_empty_directory(*verb)
            if os.path.exists("/etc/trainer-supervisor/config.yaml"):
                self.skipTest("this machine has the service's configuration")
            self.assertEqual(status, USAGE, said)
            self.assertIn("no service's /etc/trainer-supervisor/config.yaml", said)
            self.assertNotIn("create", said)

    def test_nothing_trained_yet_is_said_as_that(self):
        for verb in ("checkpoints", "metrics"):
            said = self.ask(FAILED, verb)
            self.assertIn("there is no directory models, so nothing has been trained here yet", said)
            self.assertIn("--config", said)

    def test_the_services_configuration_is_used_where_there_is_none_here(self):
        etc = self.folder / "etc"
        (etc / "trainer-supervisor").mkdir(parents=True)
        if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
            self.skipTest("no mount namespaces for this user")
        (etc / "trainer-supervisor/config.yaml").write_text(f"checkpoints: {{directory: {self.models}}}\n", encoding="utf-8")
        self.configure(training={"episodes": 20})
        self.supervise("--exit-when-done").ends(0)
        status, said = self.in_an_empty_directory("checkpoints", etc=etc)
        self.assertEqual(status, OK, said)
        self.assertRegex(said, r"(?m)^ep20 ")
        status, said = self.in_an_empty_directory("config", "check", etc=etc)
        self.assertEqual(status, OK, said)
        status, said = self.in_an_empty_directory("--socket", "/none.sock", "metrics", etc=etc)
        self.assertNotIn("there is no config", said)
        status, said = self.in_an_empty_directory("status", etc=etc)
        self.assertEqual(status, NO_DAEMON, said)
        self.assertIn("(from /etc/trainer-supervisor/config.yaml)", said)


class AnotherUser(CommandLineTest):
    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            self.skipTest("only root can ask as somebody else")
        self.folder.chmod(0o755)

    def as_nobody(self, *arguments):
        asked = subprocess.run([self.program("supervisorctl"), "--config", "config.yaml", *arguments], cwd=self.folder, text=True,
                               capture_output=True, stdin=subprocess.DEVNULL, user=65534, group=65534, extra_groups=[])
        return asked.returncode, asked.stdout + asked.stderr

    def test_who_may_not_ask_nor_read_is_told_so_and_told_nothing_else(self):
        supervisor = self.supervise()
        worker = self.running_worker()
        os.kill(worker, signal.SIGKILL)
        self.incident(1)
        (self.state_folder() / "events.jsonl").chmod(0o640)
        for verb in (("status",), ("events",)):
            status, said = self.as_nobody(*verb)
            self.assertEqual(status, NO_DAEMON, said)
            self.assertIn("you may not ask the supervisor on models/.supervisor/control.sock", said)
            self.assertNotIn("usermod", said, "root's group is nothing to join")
            self.assertNotIn("What follows", said)
        status, said = self.as_nobody("incidents", "show", "latest")
        self.assertNotIn("write permission", said)
        self.assertNotIn("None are on record", said)
        self.assertNotEqual(status, OK, said)
        self.end(supervisor)


class Waiting(CommandLineTest):
    def test_until_an_episode_is_completed(self):
        supervisor = self.supervise()
        self.running_worker()
        self.assertRegex(self.ask(OK, "wait", "--until", "episode=20", "--timeout", "60"), r"episode (2\d|[3-9]\d|\d{3,})")
        self.ask(OK, "wait", "--until", "running", "--timeout", "60")
        self.assertIn("timed out after 1 s; running", self.ask(TIMED_OUT, "wait", "--until", "finished", "--timeout", "1"))
        self.ask(OK, "stop")
        self.ask(OK, "wait", "--until", "stopped")
        self.assertIn("waiting for finished is in vain: stopped", self.ask(FAILED, "wait", "--until", "finished"))
        self.end(supervisor)

    def test_over_a_restart_of_the_supervisor(self):
        self.configure(training={"episodes": 400}, worker={"command": self.toy("--step-ms", 1)})
        first = self.supervise()
        self.running_worker(beyond=5)
        waiting = self.start("supervisorctl", "--config", "config.yaml", "wait", "--until", "finished", "--timeout", "100")
        waiting.says("; waiting until finished")
        first.signal(signal.SIGKILL)
        first.ends(-signal.SIGKILL)
        second = self.supervise()
        waiting.ends(OK)
        self.assertIn("finished: ", waiting.output())
        self.end(second)

    def test_no_supervisor_at_all_is_not_waited_for(self):
        self.ask(NO_DAEMON, "wait", "--until", "finished", "--timeout", "100")


class SaveNow(CommandLineTest):
    def test_a_checkpoint_is_saved_when_it_is_asked_for(self):
        self.configure(training={"episodes": 100_000}, worker={"command": self.toy("--step-ms", 1)},
                       checkpoints={"save_frequency": 50_000})
        supervisor = self.supervise()
        worker = self.running_worker(beyond=3)
        said = self.ask(OK, "checkpoint")
        episode = int(re.search(r"Saved: models/model_ep(\d+)\.pt, episode \1\.", said)[1])
        self.assertEqual(self.sidecar(f"model_ep{episode}")["reason"], "request")
        self.assertEqual(self.worker(), worker)
        self.ask(OK, "stop")
        self.assertIn("No worker is training that could save; stopped: ", self.ask(FAILED, "checkpoint"))
        self.end(supervisor)

    def test_a_worker_that_would_die_of_the_request_is_left_alone(self):
        self.configure(worker={"command": ["/bin/sh", "-c", "while :; do sleep 0.1; done"], "resume_args": ["{checkpoint}"]},
                       supervisor={"heartbeat_timeout": "0s", "progress_timeout": "1d"})
        supervisor = self.supervise()
        worker = self.running_worker(beyond=-1)
        self.assertIn("does not catch SIGUSR1", self.ask(FAILED, "checkpoint"))
        self.assertEqual(self.worker(), worker)
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)


class OnATerminal(CommandLineTest):
    def status_on(self, columns, **environment):
        with Terminal(self, columns=columns) as terminal:
            self.environment.update(environment)
            terminal.start(self.program("supervisorctl"), "--config", "config.yaml", "status")
            return terminal.ends(OK)

    def test_colour_is_for_terminals_that_want_it(self):
        supervisor = self.supervise()
        self.running_worker(beyond=5)
        self.assertIn("\x1b[1;32mrunning\x1b[0m for ", self.status_on(200, TERM="xterm"))
        self.assertNotIn("\x1b", self.status_on(200, TERM="xterm", NO_COLOR="1"))
        self.assertIn("\x1b", self.status_on(200, TERM="xterm", NO_COLOR=""))
        self.assertNotIn("\x1b", self.status_on(200, TERM="dumb"))
        self.assertNotIn("\x1b", self.ask(OK, "status"))
        self.end(supervisor)

    def test_a_narrow_one_gets_lines_that_fit(self):
        supervisor = self.supervise()
        self.running_worker(beyond=25)
        lines = self.status_on(50, NO_COLOR="1").splitlines()
        self.assertLessEqual(max(len(line) for line in lines), 50, lines)
        self.assertGreater(len(lines), 12)
        self.end(supervisor)

    def test_watching_goes_on_over_a_restart_of_the_supervisor(self):
        first = self.supervise()
        self.running_worker(beyond=5)
        with Terminal(self, columns=150) as terminal:
            terminal.start(self.program("supervisorctl"), "--config", "config.yaml", "status", "--watch")
            terminal.says(f"supervisor process {first.popen.pid}")
            first.signal(signal.SIGKILL)
            first.ends(-signal.SIGKILL)
            terminal.says("Waiting for one.")
            second = self.supervise()
            terminal.says(f"supervisor process {second.popen.pid}")
            terminal.press_ctrl_c()
            terminal.ends(-signal.SIGINT)
        self.end(second)


if __name__ == "__main__":
    main()
