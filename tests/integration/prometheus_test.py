#!/usr/bin/python3
"""/metrics as Prometheus' own programs see it: promtool checks it and the alert rules, and a real server scrapes a real
supervisor and evaluates every query of the dashboard and every alert. Skipped where Debian's package prometheus is
missing."""

import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import unittest
import urllib.parse

sys.dont_write_bytecode = True
from harness import ROOT, Connection, ProgramTest, free_port, main  # noqa: E402

DASHBOARD = ROOT / "docs/grafana-dashboard.json"
ALERTS = ROOT / "docs/alerts.yaml"
# What Grafana would put there.
VARIABLES = {"$__rate_interval": "20s", "$instance": ".*"}
OUR_NAMES = re.compile(r"\b(?:trainer|process)_[a-z0-9_]+\b")
# Known only while something is under way, or where the worker tells nothing else: no data is no mistake.
MAY_BE_EMPTY = ("trainer_eta_seconds",)


def require(program):
    path = shutil.which(program)
    if not path:
        raise unittest.SkipTest(f"{program} is not installed (apt-get install --no-install-recommends prometheus; it starts a "
                                "server of its own on port 9090, which nothing here needs)")
    return path


def dashboard_queries():
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [(panel["title"], target["expr"]) for panel in document["panels"] for target in panel.get("targets", [])]


def alert_queries():
    """The expressions, as promtool has them: without a YAML parser of our own."""
    found, name, folded = [], None, None
    for line in ALERTS.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"\s*- alert: (\w+)", line):
            name = match[1]
        elif match := re.match(r"(\s*)expr: (.*)", line):
            if match[2] == ">-":
                folded = []
            else:
                found.append((name, match[2]))
        elif folded is not None:
            if re.match(r"\s*\w+:( |$)", line):
                found.append((name, " ".join(folded)))
                folded = None
            else:
                folded.append(line.strip())
    return found


class PrometheusTest(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.promtool = require("promtool")

    def supervise_an_eventful_run(self):
        """A worker that died once: there is a resume, a rescue and an incident to tell of."""
        self.configure(training={"episodes": 100_000},
                       worker={"command": self.toy("--step-ms", 2, "--crash-at-episode", 35, "--only-attempt", 1)})
        supervisor = self.supervise()
        self.in_state("running", attempt=2)
        self.until(lambda: self.status().get("exact") is not None, "a checkpoint after the resume")
        return supervisor

    def metrics(self):
        connection = Connection(self.state_folder() / "control.sock")
        try:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.getheader("Content-Type"), "text/plain; version=0.0.4; charset=utf-8")
            return answer.read().decode()
        finally:
            connection.close()

    def check(self, *arguments, given=None):
        return subprocess.run([self.promtool, "check", *map(str, arguments)], input=given, text=True, capture_output=True,
                              timeout=60, check=False)


class Text(PrometheusTest):
    def test_promtool_finds_nothing_to_say_about_the_metrics(self):
        supervisor = self.supervise_an_eventful_run()
        text = self.metrics()
        checked = self.check("metrics", given=text)
        self.assertEqual((checked.returncode, checked.stdout + checked.stderr), (0, ""), text)
        wrong = self.check("metrics", given=text.replace("trainer_restarts_total", "trainer_restarts"))
        self.assertNotEqual(wrong.returncode, 0, "promtool finds nothing, whatever it is given")
        self.assert_agrees_with_the_status(text)
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.assert_nothing_left()

    def assert_agrees_with_the_status(self, text):
        status = self.status()
        self.assertIn('trainer_supervisor_state{state="running"} 1\n', text)
        self.assertIn('trainer_restarts_total{cause="crash"} 1\n', text)
        self.assertIn('trainer_rescues_total{outcome="rescued"} 1\n', text)
        self.assertIn("trainer_worker_up 1\n", text)
        self.assertIn("trainer_exact 1\n", text)
        self.assertIn("trainer_incident_first_step_seconds_count 1\n", text)
        self.assertIn(f"trainer_lost_episodes_total {status['lost_episodes']}\n", text)
        self.assertRegex(text, r'trainer_metric\{name="profit"\} -?[0-9.]+')
        last = status["last_incident"]
        self.assertEqual((last["cause"], last["lost_episodes"], last["detect_s"]), ("crash", 0, 0))
        self.assertGreaterEqual(last["first_step_s"], last["relaunch_s"])
        self.assertGreater(status["goodput"], 0.1)
        self.assertLessEqual(status["goodput"], 1)
        saved = int(re.search(r"trainer_checkpoint_durable_seconds_count (\d+)", text)[1])
        self.assertGreater(saved, 0)
        report = json.loads(next((self.state_folder() / "incidents").glob("*/report.json")).read_text(encoding="utf-8"))
        self.assertEqual((report["detect_s"], report["lost_episodes"]), (0, 0))
        self.assertEqual(report["first_step_s"], last["first_step_s"])

    def test_the_alert_rules(self):
        checked = self.check("rules", ALERTS)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        names = {name for name, _ in alert_queries()}
        self.assertIn(f"{len(names)} rules found", checked.stdout)
        explained = (ROOT / "docs/OPERATING.md").read_text(encoding="utf-8")
        for name in sorted(names):
            self.assertIn(f"`{name}`", explained)


class Server(PrometheusTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = require("prometheus")

    def scrape(self):
        self.port = free_port()
        config = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [str(ALERTS)],
                  "scrape_configs": [{"job_name": "trainer", "static_configs": [{"targets": [self.config["http"]["listen"]]}]}]}
        file = self.folder / "prometheus.json"
        file.write_text(json.dumps(config), encoding="utf-8")
        self.start(self.server, f"--config.file={file}", f"--storage.tsdb.path={self.folder / 'tsdb'}",
                   f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn")
        self.until(lambda: len(self.series("trainer_exact[1m]", "values")) > 4, "a few scrapes")

    def ask(self, target):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", target)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def query(self, expression):
        return self.ask("/api/v1/query?" + urllib.parse.urlencode({"query": expression}))

    def series(self, expression, key):
        try:
            found = self.query(expression)["data"]["result"]
        except (OSError, KeyError, ValueError, http.client.HTTPException):
            return []
        return found[0][key] if found else []

    def problems(self, expression, needs_data):
        """What is wrong with a query, as sentences. A name that was never scraped is a mistake, however it parses."""
        for variable, value in VARIABLES.items():
            expression = expression.replace(variable, value)
        answer = self.query(expression)
        if answer["status"] != "success":
            return [f"{expression}: {answer.get('error')}"]
        found = [f"{expression}: there is no {name}" for name in sorted(set(OUR_NAMES.findall(expression)) - self.names)]
        if needs_data and not answer["data"]["result"] and not any(name in expression for name in MAY_BE_EMPTY):
            found.append(f"{expression}: no data")
        return found

    def test_every_query_of_the_dashboard_and_the_alerts_is_about_what_is_scraped(self):
        self.configure(http={"listen": f"127.0.0.1:{free_port()}"})
        supervisor = self.supervise_an_eventful_run()
        self.scrape()
        self.names = set(self.ask("/api/v1/label/__name__/values")["data"])
        dashboard, alerts = dashboard_queries(), alert_queries()
        self.assertGreater(len(dashboard), 25)
        self.assertGreater(len(alerts), 10)
        problems = [f"{title}: {said}" for title, query in dashboard for said in self.problems(query, True)]
        problems += [f"{title}: {said}" for title, query in alerts for said in self.problems(query, False)]
        self.assertEqual(problems, [])
        self.assertNotEqual(self.problems("trainer_epsiode", True), [], "a misspelt metric is not noticed")
        self.assertNotEqual(self.problems('trainer_restarts_total{cause="crahs"}', True), [], "nor a misspelt label")
        self.assertNotEqual(self.problems("sum(trainer_episode", True), [], "nor what does not parse")
        self.assert_the_rules_are_evaluated()
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)

    def assert_the_rules_are_evaluated(self):
        rules = [rule for group in self.ask("/api/v1/rules")["data"]["groups"] for rule in group["rules"]]
        self.assertEqual([rule["name"] for rule in rules if rule["health"] == "err"], [])
        self.assertEqual([rule["name"] for rule in rules if rule["state"] == "firing"], [], "a healthy run alarms nobody")


if __name__ == "__main__":
    main()
