#!/usr/bin/python3
"""What the commands of supervisorctl tell programs (--json): docs/FORMATS.md."""

import json
import sys

sys.dont_write_bytecode = True
from control_test import FAILED, OK, TIMED_OUT, USAGE, ControlTest  # noqa: E402
from harness import main  # noqa: E402


class Commands(ControlTest):
    def test_what_came_of_them_as_json(self):
        def told(status, *arguments):
            result = self.ctl(*arguments, "--json")
            self.assertEqual(result.returncode, status, result.stderr)
            document = json.loads(result.stdout)
            self.assertEqual((document["format"], document["done"]), (1, status == OK))
            return document
        supervisor = self.running()
        self.assertEqual(told(OK, "checkpoint")["status"]["state"], "running")
        self.assertEqual(told(TIMED_OUT, "wait", "--until", "finished", "--timeout", "1")["status"]["state"], "running")
        stopped = told(OK, "stop")
        self.assertEqual(stopped["status"]["state"], "stopped")
        self.assertTrue(stopped["message"].startswith("stopped: "), stopped["message"])
        self.assertIsNone(told(FAILED, "checkpoint")["status"])
        self.assertEqual(told(FAILED, "wait", "--until", "finished")["status"]["state"], "stopped")
        accepted = told(OK, "start", "--no-wait")
        self.assertEqual((accepted["message"], accepted["status"]), ("Starting.", None))
        self.assertEqual(told(OK, "wait", "--until", "running")["status"]["state"], "running")
        self.assertIn("Nothing was changed", told(USAGE, "restart", "--from", "ep9999")["message"])
        self.assertEqual(told(OK, "restart", "--from", "ep10")["status"]["worker"]["resumed_from"]["episode"], 10)
        self.assertEqual(told(OK, "fresh")["status"]["state"], "running")
        self.end(supervisor)


if __name__ == "__main__":
    main()
