// The status as programs read it, and requests to replies without a socket.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

#include "common/base/json.h"
#include "supervisor/api/routes.h"
#include "supervisor/api/settings.h"
#include "supervisor/api/status.h"
#include "tests/unit/supervisor/fake_backend.h"

namespace ts::api {
namespace {

namespace json = boost::json;

Status training() {
  Status status;
  status.supervisor_pid = 99;
  status.run_id = "0123abcd";
  status.state.phase = core::Phase::running;
  status.state.desired = core::Desired::up;
  status.state.reason = "attempt 3 is training";
  status.state.pid = 4711;
  status.state.attempt = 3;
  status.state.resume = {250, "models/model_ep250.pt"};
  status.state.progress.episode = 257;
  status.state.progress.phase = protocol::Phase::train;
  status.state.progress.metrics = {{"profit", 12.5}};
  status.state.restarts = {{core::Cause::crash, 2}};
  status.worker_uptime_s = 12.5;
  status.heartbeat_age_s = 0.25;
  status.total_episodes = 300;
  status.episodes_per_s = 3.0;
  status.eta_s = 14.0;
  status.checkpoint = CheckpointStatus{250, "models/model_ep250.pt", 8.0, 0.25, 4.5};
  status.best = BestStatus{240, "profit", 13.5, "models/best_model.pt"};
  status.exact = true;
  return status;
}

TEST(TheStatus, HasTheMembersAndTypesThatProgramsCountOn) {
  const json::object out = to_json(training());
  EXPECT_EQ(integer_member(out, "format"), kStatusFormat);
  EXPECT_EQ(string_member(out, "state"), "running");
  EXPECT_EQ(string_member(out, "desired"), "up");
  EXPECT_EQ(string_member(out, "reason"), "attempt 3 is training");
  EXPECT_EQ(string_member(out, "run_id"), "0123abcd");
  EXPECT_EQ(integer_member(out, "episode"), 257);
  EXPECT_EQ(integer_member(out, "total_episodes"), 300);
  EXPECT_EQ(number_member(*object_member(out, "metrics"), "profit"), 12.5);
  const json::object* worker = object_member(out, "worker");
  ASSERT_NE(worker, nullptr);
  EXPECT_EQ(integer_member(*worker, "pid"), 4711);
  EXPECT_EQ(integer_member(*worker, "attempt"), 3);
  EXPECT_EQ(number_member(*worker, "uptime_s"), 12.5);
  EXPECT_EQ(number_member(*worker, "heartbeat_age_s"), 0.25);
  EXPECT_EQ(string_member(*worker, "phase"), "train");
  EXPECT_TRUE(worker->at("says").is_null());
  EXPECT_EQ(integer_member(*object_member(*worker, "resumed_from"), "episode"), 250);
  const json::object* saved = object_member(out, "checkpoint");
  ASSERT_NE(saved, nullptr);
  EXPECT_EQ(integer_member(*saved, "episode"), 250);
  EXPECT_EQ(string_member(*saved, "path"), "models/model_ep250.pt");
  EXPECT_EQ(number_member(*saved, "age_s"), 8.0);
  EXPECT_EQ(number_member(*saved, "stall_ms"), 0.25);
  EXPECT_EQ(number_member(*saved, "durable_ms"), 4.5);
  const json::object* best = object_member(out, "best");
  ASSERT_NE(best, nullptr);
  EXPECT_EQ(integer_member(*best, "episode"), 240);
  EXPECT_EQ(string_member(*best, "metric"), "profit");
  EXPECT_EQ(integer_member(*object_member(out, "at_risk"), "disk"), 7);
  EXPECT_TRUE(integer_member(*object_member(out, "at_risk"), "memory").has_value());
  EXPECT_EQ(integer_member(*object_member(out, "restarts"), "crash"), 2);
  EXPECT_EQ(bool_member(out, "exact"), true);
}

// A full disk is no cause to end anybody: the worker's sentence is all that tells of it, so it must not stay in the
// log.
TEST(TheStatus, P8_P11_HasWhatTheWorkerSaysInPrintableText) {
  Status status = training();
  status.state.progress.status = "episode 255 was not saved: there is not enough space.\x1b[2J\xff";
  const json::object out = to_json(status);
  EXPECT_EQ(string_member(*object_member(out, "worker"), "says"),
            "episode 255 was not saved: there is not enough space.\\x1b[2J\\xff");
}

TEST(TheStatus, SaysNullWhereThereIsNothing) {
  const json::object out = to_json(Status{});
  for (const auto* name : {"worker", "checkpoint", "best", "exact", "eta_s", "episodes_per_s"}) {
    ASSERT_TRUE(out.contains(name)) << name;
    EXPECT_TRUE(out.at(name).is_null()) << name;
  }
  EXPECT_EQ(string_member(out, "state"), "stopped");
  EXPECT_TRUE(object_member(out, "metrics")->empty());
  EXPECT_TRUE(object_member(out, "restarts")->empty());
  EXPECT_TRUE(to_json(training()).size() == out.size()) << "the same members, whatever the state";
}

TEST(WhatIsAtRisk, IsNeverNegative) {
  Status status = training();
  status.state.progress.episode = 3;
  EXPECT_EQ(status.at_risk_disk(), 0);
  status.checkpoint.reset();
  EXPECT_EQ(status.at_risk_disk(), 3);
}

class Routes : public testing::Test {
 protected:
  Reply ask(const std::string& method, const std::string& target, const std::string& body = "") {
    boost::asio::io_context io;
    std::optional<Reply> reply;
    const Request request{method, target, body};
    const Peer peer{7, 1000};
    boost::asio::co_spawn(io, answer(request, peer, backend_), [&](const std::exception_ptr& error, Reply answered) {
      EXPECT_FALSE(error);
      reply = std::move(answered);
    });
    io.run();
    EXPECT_TRUE(reply.has_value());
    return std::move(reply).value_or(Reply{});
  }
  static json::object object(const Reply& reply) { return json::parse(reply.body).as_object(); }

  // A problem names itself in its body as RFC 9457 wants it.
  static void expect_problem(const Reply& reply, unsigned status) {
    EXPECT_EQ(reply.status, status);
    EXPECT_EQ(reply.content_type, "application/problem+json");
    const json::object problem = object(reply);
    EXPECT_EQ(problem.at("status").to_number<unsigned>(), status);
    for (const auto* name : {"type", "title", "detail"}) EXPECT_FALSE(problem.at(name).as_string().empty()) << name;
  }

  FakeBackend backend_;
};

TEST_F(Routes, AnswerTheStatus) {
  const Reply reply = ask("GET", "/v1/status");
  EXPECT_EQ(reply.status, 200U);
  EXPECT_EQ(reply.content_type, "application/json");
  EXPECT_EQ(string_member(object(reply), "state"), "running");
}

TEST_F(Routes, AnswerPrometheusInItsOwnFormat) {
  const Reply reply = ask("GET", "/metrics");
  EXPECT_EQ(reply.status, 200U);
  EXPECT_EQ(reply.content_type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_NE(reply.body.find("\ntrainer_worker_up 0\n"), std::string::npos);
  EXPECT_EQ(backend_.asked.back(), "measures");
  expect_problem(ask("POST", "/metrics"), 405);
}

TEST_F(Routes, CarryOutEveryCommand) {
  for (const std::string verb : {"start", "stop", "checkpoint", "fresh", "restart"}) {
    const Reply reply = ask("POST", "/v1/" + verb);
    EXPECT_EQ(reply.status, 202U);
    EXPECT_EQ(string_member(object(reply), "message"), "Done: " + verb + ".");
    EXPECT_EQ(backend_.asked.back(), verb);
    EXPECT_EQ(backend_.last_peer.pid, 7);
    EXPECT_EQ(backend_.last_peer.uid, 1000);
  }
  EXPECT_EQ(ask("POST", "/v1/restart", R"({"from":"ep200"})").status, 202U);
  EXPECT_EQ(backend_.asked.back(), "restart from ep200");
  EXPECT_EQ(ask("POST", "/v1/restart", "{}").status, 202U);
  EXPECT_EQ(backend_.asked.back(), "restart");
}

TEST_F(Routes, TellARefusalFromABadTarget) {
  const std::pair<ErrorKind, unsigned> cases[] = {
      {ErrorKind::not_found, 422}, {ErrorKind::checkpoint, 422}, {ErrorKind::locked, 409}, {ErrorKind::internal, 409}};
  for (const auto& [kind, status] : cases) {
    backend_.refusal = make_error(kind, "no such checkpoint");
    const Reply reply = ask("POST", "/v1/restart", R"({"from":"ep1"})");
    expect_problem(reply, status);
    EXPECT_EQ(string_member(object(reply), "detail"), "no such checkpoint");
  }
}

TEST_F(Routes, AnswerTheConfiguration) {
  const Reply reply = ask("GET", "/v1/config");
  EXPECT_EQ(reply.status, 200U);
  EXPECT_EQ(integer_member(object(reply), "format"), 1);
}

TEST_F(Routes, TellWhatAReloadHasChanged) {
  const Reply reply = ask("POST", "/v1/reload");
  EXPECT_EQ(reply.status, 200U);
  EXPECT_EQ(backend_.last_peer.uid, 1000);
  const json::object answer = object(reply);
  EXPECT_EQ(string_member(answer, "message"), "Done: reload.");
  const json::object change = answer.at("changes").as_array().at(0).as_object();
  EXPECT_EQ(change,
            (json::object{{"key", "training.episodes"}, {"from", "300"}, {"to", "500"}, {"applies", "next_launch"}}));
}

TEST_F(Routes, RefuseToReloadAFileThatIsWrong) {
  for (const auto& [kind, status] : {std::pair{ErrorKind::configuration, 422U}, {ErrorKind::locked, 409U}}) {
    backend_.refusal = make_error(kind, "f:1:1: unknown section");
    expect_problem(ask("POST", "/v1/reload"), status);
  }
}

TEST(AReload, SaysWhatCountsWhen) {
  using config::Applies;
  EXPECT_EQ(what_reload_did("c.yaml", {}), "Nothing has changed in c.yaml.");
  EXPECT_EQ(
      what_reload_did("c\n.yaml", {{"http.listen", "\"\"", "localhost:1", Applies::supervisor_restart},
                                   {"restart.cooldown", "15m", "5m", Applies::at_once},
                                   {"restart.jitter", "0.25", "0", Applies::at_once}}),
      "Read c\\x0a.yaml again. restart.cooldown (15m -> 5m), restart.jitter (0.25 -> 0): in force now. http.listen "
      "(\"\" -> localhost:1): only when the supervisor itself is started again; until then the old value stays.");
}

TEST_F(Routes, RefuseTheWrongMethod) {
  for (const auto& [method, target] : {std::pair{"POST", "/v1/status"},
                                       {"GET", "/v1/start"},
                                       {"PUT", "/v1/stop"},
                                       {"DELETE", "/v1/fresh"},
                                       {"GET", "/v1/restart"},
                                       {"POST", "/v1/config"},
                                       {"GET", "/v1/reload"},
                                       {"", "/v1/status"}}) {
    expect_problem(ask(method, target), 405);
  }
  EXPECT_TRUE(backend_.asked.empty());
}

TEST_F(Routes, RefuseWhatTheyDoNotKnow) {
  for (const std::string target :
       {"/", "", "/v1", "/v1/", "/v2/status", "/v1/status/", "/v1/Start", "/v1/../v1/start", "/v1/start\x1b[2J"}) {
    const Reply reply = ask("POST", target);
    expect_problem(reply, 404);
    EXPECT_EQ(reply.body.find('\x1b'), std::string::npos);
  }
  EXPECT_TRUE(backend_.asked.empty());
}

TEST_F(Routes, RefuseAQuestionThatHasNoMeaning) {
  for (const std::string target : {"/v1/status?x=1", "/metrics?name=a", "/v1/incidents/latest?limit=1",
                                   "/v1/incidents?since=1", "/v1/incidents?limit=101", "/v1/events?limit=1001",
                                   "/v1/events?since=-1", "/v1/events?limit", "/v1/events?since=1&x\x1b[2J"}) {
    const Reply reply = ask("GET", target);
    expect_problem(reply, 400);
    EXPECT_EQ(reply.body.find('\x1b'), std::string::npos);
  }
  EXPECT_TRUE(backend_.asked.empty());
}

TEST_F(Routes, RefuseABodyThatIsNotWhatItShouldBe) {
  for (const std::string body :
       {"{", "[]", "null", "7", "\"ep200\"", R"({"from":7})", R"({"from":null})", R"({"to":"ep1"})",
        R"({"from":"ep1","x":1})", R"({"from":"a","from":"b"})", "\xff", "[[[[[[[[[[[[[[[[[[[[[[[["}) {
    expect_problem(ask("POST", "/v1/restart", body), 400);
  }
  EXPECT_TRUE(backend_.asked.empty());
}

}  // namespace
}  // namespace ts::api
