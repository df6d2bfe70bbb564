#!/usr/bin/python3
"""supervisorctl against a real supervisor with the toy worker: each verb, each exit status (0 ok, 1 refused or failed,
2 usage or bad selector, 3 not running, 4 no daemon, 5 timed out), and that a refusal disturbs nothing."""

import json
import os
import re
import signal
import sys

sys.dont_write_bytecode = True
from harness import ProgramTest, main  # noqa: E402

OK, FAILED, USAGE, NOT_RUNNING, NO_DAEMON, TIMED_OUT = range(6)
NUMBER = (int, float)


class ControlTest(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")

    def setUp(self):
        super().setUp()
        self.configure(training={"episodes": 100_000}, worker={"command": self.toy("--step-ms", 1)},
                       checkpoints={"max_keep": 1000})

    def running(self, beyond=35):
        supervisor = self.supervise()
        self.running_worker(beyond=beyond)
        return supervisor

    def ask(self, status, *arguments):
        """Runs supervisorctl, checks its exit status, returns all it said."""
        result = self.ctl(*arguments)
        said = result.stdout + result.stderr
        self.assertEqual(result.returncode, status, f"{arguments}: {said}")
        return said

    def end(self, supervisor):
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.assert_nothing_left()


class Status(ControlTest):
    def test_the_fields_of_the_json_document(self):
        supervisor = self.running()
        worker = self.worker()
        self.ask(OK, "status", "--json")
        status = self.status()
        types = {"state": str, "desired": str, "reason": str, "run_id": str, "worker": dict, "episode": int, "metrics": dict,
                 "total_episodes": int, "checkpoint": dict, "best": dict, "at_risk": dict, "restarts": dict}
        for name, kind in types.items():
            self.assertIsInstance(status[name], kind, name)
        self.assertIn("exact", status)
        self.assertEqual((status["state"], status["desired"]), ("running", "up"))
        self.assertEqual((status["worker"]["pid"], status["worker"]["attempt"]), (worker, 1))
        self.assertIsNone(status["worker"]["resumed_from"])
        self.assertIsInstance(status["worker"]["uptime_s"], NUMBER)
        self.assertEqual(status["total_episodes"], 100_000)
        self.assertIsInstance(status["metrics"]["profit"], NUMBER)
        checkpoint = status["checkpoint"]
        self.assertEqual(checkpoint["path"], f"models/model_ep{checkpoint['episode']}.pt")
        self.assertIsInstance(checkpoint["age_s"], NUMBER)
        self.assertEqual(status["best"]["metric"], "profit")
        self.assertGreater(status["best"]["episode"], 0)
        self.assertEqual(set(status["at_risk"]), {"memory", "disk"})
        self.assertEqual(status["restarts"], {})

        os.kill(worker, signal.SIGKILL)
        self.running_worker(beyond=40, other_than=worker)
        status = self.until(lambda: s if (s := self.status())["restarts"] == {"crash": 1} else None, "the count")
        resumed = status["worker"]["resumed_from"]
        self.assertGreaterEqual(resumed["episode"], 30)
        self.assertEqual(status["worker"]["attempt"], 2)
        self.end(supervisor)

    def test_the_same_for_people(self):
        supervisor = self.running()
        said = self.ask(OK, "status")
        self.assertRegex(said, r"^running for ")
        for row in (r"episode +\d+/100000", rf"worker +process {self.worker()}, attempt 1",
                    r"checkpoint +models/model_ep\d+\.pt", r"at risk", r"restarts +0"):
            self.assertRegex(said, row)
        self.end(supervisor)

    def test_exit_statuses_3_and_4(self):
        said = self.ask(NO_DAEMON, "status")
        self.assertIn("no supervisor answers on models/.supervisor/control.sock", said)
        for verb in ("start", "stop", "restart", "fresh"):
            self.ask(NO_DAEMON, verb)
        supervisor = self.running()
        self.ask(OK, "stop")
        self.assertIn("stopped", self.ask(NOT_RUNNING, "status"))
        self.ask(NOT_RUNNING, "status", "--json")
        self.end(supervisor)
        self.ask(NO_DAEMON, "status")

    def test_exit_status_2_for_what_it_does_not_understand(self):
        for arguments in ((), ("statsu",), ("restart", "--form", "ep200"), ("status", "--timeout"), ("checkpoints", "shwo")):
            self.ask(USAGE, *arguments)
        self.assertIn("supervisorctl", self.ask(OK, "--help"))
        self.assertRegex(self.ask(OK, "--version"), r"\d+\.\d+\.\d+")

    def test_exit_status_5_when_it_takes_too_long(self):
        self.configure(worker={"command": self.toy("--step-ms", 1, "--ignore-sigterm")}, supervisor={"stop_timeout": "10m"})
        self.running(beyond=1)
        self.assertIn("timed out", self.ask(TIMED_OUT, "stop", "--timeout", "1"))

    def test_the_socket_is_found_by_option_environment_and_configuration(self):
        self.configure(supervisor={"control_socket": "here.sock"})
        supervisor = self.supervise()
        self.until(lambda: self.ctl("status").returncode == OK, "the status")
        self.assertTrue((self.folder / "here.sock").is_socket())
        self.assertEqual((self.folder / "here.sock").stat().st_mode & 0o777, 0o660)
        by_option = self.run_program("supervisorctl", "--socket", "here.sock", "status")
        self.assertEqual(by_option.returncode, OK, by_option.stderr)
        by_environment = self.run_program("supervisorctl", "status", TRAINER_SUPERVISOR_SOCKET="here.sock")
        self.assertEqual(by_environment.returncode, OK, by_environment.stderr)
        self.end(supervisor)


class Commands(ControlTest):
    def test_stop_saves_and_start_goes_on(self):
        supervisor = self.running()
        self.ask(OK, "stop")
        status = self.in_state("stopped", desired="down", worker=None)
        episode = self.episodes()[-1]
        self.assertEqual(status["episode"], episode)
        self.ask(OK, "stop")  # nothing to do is not a failure
        self.assertEqual(self.episodes()[-1], episode)
        self.ask(OK, "start")
        resumed = self.in_state("running")["worker"]["resumed_from"]
        self.assertEqual(resumed, {"episode": episode, "path": f"models/model_ep{episode}.pt",
                                   "why": "attempt 2, because it was asked for"})
        pid = self.worker()
        self.ask(OK, "start")
        self.assertEqual(self.worker(), pid, "start of what runs must not disturb it")
        self.end(supervisor)

    def test_restart_goes_on_with_a_new_worker_that_lost_nothing(self):
        supervisor = self.running()
        before = self.status()
        self.ask(OK, "restart")
        after = self.in_state("running")
        self.assertNotEqual(after["worker"]["pid"], before["worker"]["pid"])
        self.assertGreaterEqual(after["worker"]["resumed_from"]["episode"], before["episode"])
        self.assertEqual(after["restarts"], {}, "what was asked for is no incident")
        self.assertEqual(after["run_id"], before["run_id"])
        self.end(supervisor)

    def test_restart_from_an_older_checkpoint_sets_newer_ones_aside(self):
        supervisor = self.running(beyond=65)
        self.ask(OK, "stop")
        before = self.contents()
        said = self.ask(OK, "restart", "--from", "ep40")
        self.assertIn("Restarting from episode 40", said)
        self.assertEqual(self.in_state("running")["worker"]["resumed_from"],
                         {"episode": 40, "path": "models/model_ep40.pt",
                          "why": "attempt 2, because a restart was asked for"})
        aside = {p.name: p.read_bytes() for p in (self.models / "superseded").rglob("*") if p.is_file()}
        for name, content in before.items():
            number = re.fullmatch(r"model_ep(\d+)\..*", name)
            if number and int(number[1]) > 40:
                self.assertEqual(aside[name], content, "set aside, not deleted")
        self.assertLessEqual({"model_ep50.pt", "model_ep60.json"}, set(aside))
        supervisor.says("Resuming training from episode 41/100000")
        self.end(supervisor)

    def test_restart_from_best_and_latest_and_a_path(self):
        supervisor = self.running(beyond=65)
        self.ask(OK, "restart", "--from", "latest")
        best = self.sidecar("best_model")["episode"]
        said = self.ask(OK, "restart", "--from", "best")
        resumed = int(re.search(r"Restarting from episode (\d+)", said)[1])
        self.assertGreaterEqual(resumed, best)
        self.assertEqual(self.in_state("running")["worker"]["resumed_from"]["episode"], resumed)
        self.ask(OK, "restart", "--from", "models/model_ep10.pt")
        self.assertEqual(self.in_state("running")["worker"]["resumed_from"]["episode"], 10)
        self.end(supervisor)

    def test_a_bad_target_is_refused_with_the_valid_ones_and_disturbs_nothing(self):
        supervisor = self.running(beyond=45)
        self.ask(OK, "stop")
        archive = self.pair(20)[0]
        content = bytearray(archive.read_bytes())
        content[len(content) // 2] ^= 1
        archive.write_bytes(content)
        self.ask(OK, "start")
        worker = self.running_worker(beyond=50)
        (self.models / "model_ep7.pt").write_bytes(b"no archive")  # a start would set it aside
        valid = ", ".join(["ep40", "ep30", "ep10", "best"])
        for target, why in (("ep9999", "there is no checkpoint models/model_ep9999.pt"), ("ep20", "its bytes are damaged"),
                            ("ep7", "no sidecar"), ("models/model_ep7.pt", "no .pt archive"),
                            ("sideways", "does not name a checkpoint"), ("ep-1", "does not name"),
                            ("elsewhere/x.pt", "elsewhere"), ("../../etc/passwd", "")):
            before = set(self.contents())
            said = self.ask(USAGE, "restart", "--from", target)
            self.assertIn(why, said)
            self.assertIn("Nothing was changed", said)
            self.assertRegex(said, rf"valid ones in models/?: .*{valid}", "the list of valid ones is missing")
            self.assertEqual(self.worker(), worker, f"--from {target} disturbed the worker")
            self.assertLessEqual(before, set(self.contents()), f"--from {target} moved files")
        self.assertFalse((self.models / "superseded").exists())
        self.end(supervisor)

    def test_fresh_starts_at_one_and_deletes_nothing(self):
        supervisor = self.running()
        before = self.status()
        self.ask(OK, "stop")
        files = set(self.contents())
        self.ask(OK, "fresh")
        status = self.in_state("running")
        self.assertIsNone(status["worker"]["resumed_from"])
        self.assertNotEqual(status["run_id"], before["run_id"])
        self.assertEqual(set(self.set_aside("superseded")), files)
        self.end(supervisor)

    def test_requests_of_all_sorts_at_once_leave_one_worker(self):
        supervisor = self.running()
        asked = [self.start("supervisorctl", "--config", self.config_file, *words)
                 for words in (("restart",), ("restart", "--from", "ep10"), ("stop", "--no-wait"), ("start",), ("restart",),
                               ("status",), ("fresh", "--no-wait"), ("start", "--no-wait"))]
        for process in asked:
            self.until(lambda p=process: not p.running(), "supervisorctl", 120)
        self.ask(OK, "start")
        workers = [pid for pid in self.ours() if pid not in (supervisor.pid, os.getpid())]
        self.assertEqual(workers, [self.worker()])
        self.end(supervisor)


class Checkpoints(ControlTest):
    def setUp(self):
        super().setUp()
        self.configure(training={"episodes": 30})

    def assert_verbs_work(self):
        said = self.ask(OK, "checkpoints")
        self.assertEqual(self.ask(OK, "checkpoints", "list"), said)
        for name in ("ep30", "ep20", "ep10", "best"):
            self.assertRegex(said, rf"(?m)^{name} +\d+ +20\d\d-")
        rows = {row["name"]: row["sidecar"] for row in self.json_of("checkpoints", "list", "--json")["checkpoints"]}
        self.assertEqual(rows["ep20"], self.sidecar("model_ep20"))
        shown = self.json_of("checkpoints", "show", "ep20", "--json")
        self.assertEqual((shown["format"], shown["path"], shown["pinned"]), (1, "models/model_ep20.pt", False))
        self.assertEqual(shown["sidecar"], self.sidecar("model_ep20"))
        self.assertIn({"name": "model.weight", "dtype": "float32", "shape": [8, 4]}, shown["tensors"])
        self.assertEqual(self.json_of("checkpoints", "show", "best", "--json")["sidecar"]["reason"], "best")
        self.assertEqual(self.json_of("checkpoints", "show", "latest", "--json")["sidecar"]["episode"], 30)
        said = self.ask(OK, "checkpoints", "show", "ep20")
        for row in (r"(?m)^models/model_ep20\.pt: valid$", r"episode +20 of 30", r"model\.weight +float32 \[8, 4\]"):
            self.assertRegex(said, row)
        self.assertEqual(self.ask(OK, "checkpoints", "verify", "ep20"), "ep20: valid\n")
        self.assertEqual(self.ask(OK, "checkpoints", "verify").count(": valid\n"), 4)
        verified = self.json_of("checkpoints", "verify", "--json")
        self.assertEqual((verified["format"], verified["valid"], len(verified["checkpoints"])), (1, True, 4))

    def json_of(self, *arguments):
        return json.loads(self.ask(OK, *arguments))

    def test_with_and_without_a_supervisor(self):
        supervisor = self.supervise()
        self.in_state("finished")
        self.assert_verbs_work()
        self.end(supervisor)
        self.assert_verbs_work()

    def test_a_damaged_one_is_named(self):
        self.supervise("--exit-when-done").ends(0)
        archive = self.pair(20)[0]
        archive.write_bytes(archive.read_bytes()[:-1])
        said = self.ask(FAILED, "checkpoints", "verify")
        self.assertRegex(said, r"ep20: NOT valid: .*cut short")
        self.assertIn("ep30: valid", said)
        self.ask(FAILED, "checkpoints", "verify", "ep20")
        verified = {row["name"]: row for row in json.loads(self.ask(FAILED, "checkpoints", "verify", "--json"))["checkpoints"]}
        self.assertIn("cut short", verified["ep20"]["problem"])
        self.assertTrue(verified["ep30"]["valid"])
        self.ask(USAGE, "checkpoints", "show", "ep20")
        self.ask(USAGE, "checkpoints", "show", "ep99")
        self.ask(USAGE, "checkpoints", "verify", "sideways")

    def test_without_a_directory(self):
        said = self.ask(FAILED, "checkpoints")
        self.assertIn("models", said)


class Pins(ControlTest):
    """P2: what is pinned is not pruned, and pinning needs nobody's leave: not the trainer's, not a supervisor's."""

    def setUp(self):
        super().setUp()
        self.configure(checkpoints={"max_keep": 2})

    def pinned(self):
        rows = json.loads(self.ask(OK, "checkpoints", "list", "--json"))["checkpoints"]
        return [row["name"] for row in rows if row["pinned"]]

    def train_to(self, episodes):
        self.configure(training={"episodes": episodes})
        self.supervise("--exit-when-done").ends(0)

    def test_a_pin_survives_the_pruning_of_a_run_and_unpin_lets_it_go(self):
        self.train_to(20)
        self.assertIn("ep10 is pinned", self.ask(OK, "checkpoints", "pin", "ep10"))
        self.assertIn("already", self.ask(OK, "checkpoints", "pin", "10"))
        before = self.pair(10)[0].read_bytes()
        self.train_to(60)
        self.assertEqual(self.episodes(), [10, 50, 60])
        self.assertEqual(self.pair(10)[0].read_bytes(), before)
        self.assertEqual(self.pinned(), ["ep10"])
        self.assertRegex(self.ask(OK, "checkpoints"), r"(?m)^ep10 .*, pinned$")
        unpinned = json.loads(self.ask(OK, "checkpoints", "unpin", "ep10", "--json"))
        self.assertEqual((unpinned["format"], unpinned["name"], unpinned["pinned"], unpinned["changed"]),
                         (1, "ep10", False, True))
        self.train_to(80)
        self.assertEqual(self.episodes(), [70, 80])
        self.assertEqual([name for name in self.names() if name.endswith(".pin")], [])

    def test_beside_a_running_trainer(self):
        self.configure(worker={"command": self.toy("--step-ms", 5)})
        supervisor = self.running(beyond=12)
        self.ask(OK, "checkpoints", "pin", "latest")
        [name] = self.pinned()
        episode = int(name[2:])
        self.running_worker(beyond=episode + 45)
        self.assertIn(episode, self.episodes())
        self.end(supervisor)
        self.assertEqual(self.ask(OK, "checkpoints", "verify", name), f"{name}: valid\n")

    def test_a_pin_goes_along_when_its_pair_is_set_aside(self):
        self.configure(checkpoints={"max_keep": 10})
        self.train_to(30)
        self.ask(OK, "checkpoints", "pin", "ep20")
        self.supervise("--fresh", "--exit-when-done").ends(0)
        self.assertEqual(self.pinned(), [])
        self.assertIn("model_ep20.pin", self.set_aside("superseded"))

    def test_what_cannot_be_pinned_is_refused_with_the_valid_ones(self):
        self.train_to(40)
        before = set(self.contents())
        foreign = self.folder / "other.pt"
        foreign.write_bytes(self.pair(40)[0].read_bytes())
        for target, why in (("ep7", "there is no checkpoint models/model_ep7.pt"), ("sideways", "does not name"),
                            (foreign, "is no checkpoint of models")):
            said = self.ask(USAGE, "checkpoints", "pin", target)
            self.assertIn(why, said)
            self.assertRegex(said, r"valid ones in models/?: ep40, ep30, best")
        best = self.sidecar("best_model")["episode"]
        if best in self.episodes():
            self.ask(OK, "checkpoints", "pin", "best")
            self.assertEqual(self.pinned(), [f"ep{best}"])
            self.ask(OK, "checkpoints", "unpin", "best")
        else:
            self.assertIn(f"the best model is that of episode {best}", self.ask(USAGE, "checkpoints", "pin", "best"))
        self.assertIn("ep40 is not pinned", self.ask(FAILED, "checkpoints", "unpin", "ep40"))
        self.assertEqual(set(self.contents()), before)


class Diff(ControlTest):
    def setUp(self):
        super().setUp()
        self.configure(training={"episodes": 30})
        self.supervise("--exit-when-done").ends(0)

    def test_two_episodes_differ_and_one_is_identical_with_itself(self):
        said = self.ask(OK, "checkpoints", "diff", "ep10", "ep20")
        self.assertRegex(said, r"\Adifferent: \d of \d tensors\n")
        self.assertRegex(said, r"(?m)^model\.weight +float32 \[8, 4\] +\d+ of 32 ")
        self.assertRegex(said, r"(?m)^episode +10 +20$")
        difference = json.loads(self.ask(OK, "checkpoints", "diff", "ep10", "ep20", "--json"))
        self.assertEqual((difference["format"], difference["identical"]), (1, False))
        self.assertEqual(difference["a"]["sidecar"], self.sidecar("model_ep10"))
        self.assertEqual(difference["metrics"]["profit"],
                         {side: self.sidecar(f"model_ep{n}")["metrics"]["profit"] for side, n in (("a", 10), ("b", 20))})
        rows = {row["name"]: row for row in difference["differences"]}
        self.assertEqual((rows["episode"]["differing"], rows["episode"]["max_abs"]), (1, 10.0))
        self.assertEqual(rows["model.weight"]["a"], {"dtype": "float32", "shape": [8, 4]})
        self.assertGreater(rows["model.weight"]["max_abs"], 0.0)

        copy = self.folder / "copy.pt"
        copy.write_bytes(self.pair(10)[0].read_bytes())
        for other in ("ep10", "models/model_ep10.pt", copy):
            self.assertRegex(self.ask(OK, "checkpoints", "diff", "ep10", other), r"\Aidentical: all \d tensors")
            same = json.loads(self.ask(OK, "checkpoints", "diff", "ep10", other, "--json"))
            self.assertEqual((same["identical"], same["differences"]), (True, []))

    def test_a_bad_selector_is_refused_with_the_valid_ones(self):
        for arguments in (("ep10", "ep99"), ("sideways", "ep10"), ("best", "none/x.pt")):
            said = self.ask(USAGE, "checkpoints", "diff", *arguments)
            self.assertRegex(said, r"valid ones in models/?: ep30, ep20, ep10, best")
        self.ask(USAGE, "checkpoints", "diff", "ep10")


if __name__ == "__main__":
    main()
