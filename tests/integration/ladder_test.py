#!/usr/bin/python3
"""Promise P10: a checkpoint that is valid and yet kills every worker that resumes from it is set aside after
restart.poison_after deaths, and training goes on from the next older one; a checkpoint is never the price of what was
done to its workers from outside. The worker is the toy, behind ladder_worker.py."""

import os
import pathlib
import signal
import sys

sys.dont_write_bytecode = True
from harness import ProgramTest, main  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
GOAL = 60
POISON = 30  # the newest there is when the trouble begins


class LadderTest(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")

    def setUp(self):
        super().setUp()
        self.configure(restart={"backoff_initial": "10ms", "backoff_max": "20ms"}, checkpoints={"save_best": False})

    def trained(self, episodes, **checkpoints):
        """What lies there before the trouble. Training on is asked for by a higher goal."""
        self.configure(training={"episodes": episodes}, checkpoints=checkpoints, worker={"command": self.toy("--step-ms", 2)})
        self.supervise("--exit-when-done").ends(0)
        self.configure(training={"episodes": GOAL})

    def behind_the_door(self, how):
        """The worker's command; the supervisor is started by the test."""
        door = [sys.executable, str(HERE / "ladder_worker.py"), str(POISON), how]
        self.configure(worker={"command": door + self.toy("--step-ms", 1)})

    def undisturbed(self):
        """The last bytes of the run that met no trouble."""
        self.models, models = self.folder / "undisturbed", self.models
        self.configure(checkpoints={"directory": "undisturbed"})
        self.trained(POISON)
        self.supervise("--exit-when-done").ends(0)
        last = self.pair(GOAL)[0].read_bytes()
        self.models = models
        self.configure(checkpoints={"directory": "models"})
        return last

    def remembered(self):
        return self.read_json(self.state_folder() / "state.json")

    def bytes_of(self, episode):
        return [path.read_bytes() for path in self.pair(episode)]

    def put_aside(self):
        """The same, of what is in quarantine."""
        files = {path.name: path for path in (self.models / "quarantine").rglob("*") if path.is_file()}
        self.assertLessEqual({path.name for path in self.pair(POISON)}, set(files))
        return [files[path.name].read_bytes() for path in self.pair(POISON)]

    def stop(self, supervisor):
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.assert_nothing_left()


class Ladder(LadderTest):
    def test_p10_a_checkpoint_that_kills_its_workers_goes_aside_and_the_next_older_one_is_used(self):
        for how, poison_after in (("crash", 2), ("late", 3)):
            with self.subTest(how):
                self.models = self.folder / how
                self.configure(checkpoints={"directory": how}, restart={"poison_after": poison_after})
                self.goes_aside(how, poison_after)

    def goes_aside(self, how, poison_after):
        last = self.undisturbed() if how == "crash" else None
        self.models = self.folder / how
        self.configure(checkpoints={"directory": how})
        self.trained(POISON)
        self.assertEqual(self.episodes(), [10, 20, 30])
        poison = self.bytes_of(POISON)
        self.behind_the_door(how)
        output = self.supervise("--exit-when-done").ends(0)
        self.assertIn(f"{poison_after} workers in a row that were started from {how}/model_ep30.pt ended before they "
                      "completed an episode; going on from episode 20", output)
        self.assertEqual(output.count("Auto-resuming from episode 30: "), poison_after)
        self.assertEqual(output.count("Auto-resuming from episode 20: "), 1)
        self.assertEqual(self.remembered()["restarts"], {"crash": poison_after})
        # Set aside, not deleted; and the one of this episode that was trained anew is another matter.
        self.assertEqual(self.put_aside(), poison)
        self.assertEqual(self.episodes()[-1], GOAL)
        if last:
            self.assertTrue(self.pair(GOAL)[0].read_bytes() == last, "the way round has changed the result")
        for attempt in range(2, 2 + poison_after):
            report = self.incident(attempt)
            resumed = 20 if attempt == 1 + poison_after else 30
            self.assertEqual((report["cause"], report["exit"]), ("crash", {"signal": signal.SIGSEGV.value}))
            self.assertEqual((report["episode"], report["resumed_from"], report["lost_episodes"]), (30, resumed, 30 - resumed))
        self.assert_nothing_left()

    def test_p2_p10_the_only_checkpoint_stays_and_it_is_said_why(self):
        self.trained(POISON, save_frequency=POISON)
        before = self.contents()
        self.assertEqual(self.episodes(), [POISON])
        self.behind_the_door("crash")
        self.configure(restart={"max_attempts_without_progress": 4, "cooldown": "10m"})
        supervisor = self.supervise()
        status = self.in_state("fatal")
        self.assertEqual(status["restarts"], {"crash": 4})
        self.assertRegex(status["reason"], r"4 attempts in a row got no further; trying again in 10m")
        self.assertIn("model_ep30.pt ended before they completed an episode; it stays, since there is no older valid "
                      "checkpoint and restart.allow_fresh is off", supervisor.output())
        self.assertEqual(self.contents(), before)
        (self.folder / f"{POISON}.mended").touch()  # it was the program, not the checkpoint
        self.assertEqual(self.ctl("start").returncode, 0)
        self.in_state("finished")
        self.stop(supervisor)
        self.assertEqual(self.set_aside("quarantine"), [])

    def test_p10_the_only_checkpoint_goes_aside_where_a_fresh_start_is_allowed(self):
        self.trained(POISON, save_frequency=POISON)
        poison = self.bytes_of(POISON)
        self.configure(restart={"allow_fresh": True})
        self.behind_the_door("crash")
        output = self.supervise("--exit-when-done").ends(0)
        self.assertIn("going on from the beginning", output)
        self.assertEqual(self.episodes()[-1], GOAL)
        self.assertEqual(self.put_aside(), poison)
        self.assert_nothing_left()


class FromOutside(LadderTest):
    def test_p10_kills_from_outside_never_condemn_a_checkpoint(self):
        self.trained(POISON)
        before = self.contents()
        self.behind_the_door("wait")
        self.configure(restart={"max_attempts_without_progress": 1000},
                       supervisor={"heartbeat_interval": "100ms", "heartbeat_timeout": "1s"})
        supervisor = self.supervise("--exit-when-done")
        worker = 0
        for name in ("KILL", "TERM", "INT", "STOP", "STOP", "KILL", "KILL", "KILL"):
            self.until(lambda: self.worker() not in (0, worker) and self.status()["state"] == "running", "another worker")
            status = self.status()
            worker = status["worker"]["pid"]
            self.assertEqual(status["worker"]["resumed_from"]["episode"], POISON)
            os.kill(worker, signal.Signals[f"SIG{name}"])
        self.assertEqual(self.contents(), before)
        (self.folder / f"{POISON}.mended").touch()
        self.until(lambda: self.worker() not in (0, worker), "another worker")
        os.kill(self.worker(), signal.SIGKILL)  # should it still be one that waits
        output = supervisor.ends(0)
        self.assertGreaterEqual(self.remembered()["restarts"]["heartbeat_lost"], 2)
        self.assertNotIn("Auto-resuming from episode 20", output)
        self.assertEqual(self.set_aside("quarantine"), [])
        self.assertEqual(self.episodes()[-1], GOAL)
        self.assert_nothing_left()


class WrongResume(LadderTest):
    def test_p3_p11_a_worker_that_resumed_elsewhere_is_ended_and_its_checkpoint_stays(self):
        self.trained(POISON)
        before = self.contents()
        self.behind_the_door("lie")
        self.configure(restart={"max_attempts_without_progress": 3, "cooldown": "10m"})
        supervisor = self.supervise()
        status = self.in_state("fatal")
        self.assertEqual(status["restarts"], {"wrong_resume": 3})
        sentence = "says that it resumed from episode 20, and was told to resume from episode 30"
        self.assertIn(f"{sentence}; ending it", supervisor.output())
        report = self.incident(2)
        self.assertEqual((report["cause"], report["detected_by"]), ("wrong_resume", "X_TRAINER_RESUMED"))
        self.assertEqual(report["resumed_from"], 30)
        self.assertIn(sentence, report["what"])
        self.assertEqual(self.contents(), before)  # what it announced is of another run, and never becomes a checkpoint
        self.stop(supervisor)


if __name__ == "__main__":
    main()
