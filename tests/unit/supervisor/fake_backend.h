// A supervisor that only writes down what it is asked.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "supervisor/api/backend.h"
#include "supervisor/api/event_ring.h"

namespace ts::api {

class FakeBackend final : public Backend {
 public:
  std::optional<Error> refusal;
  std::vector<std::string> asked;
  Peer last_peer;

  boost::json::object status() override {
    asked.emplace_back("status");
    return {{"state", "running"}};
  }
  Measures measures() override {
    asked.emplace_back("measures");
    return {};
  }
  boost::json::object settings() override {
    asked.emplace_back("settings");
    return {{"format", 1}};
  }
  boost::asio::awaitable<Result<Reloaded>> reload(const Peer& peer) override {
    const auto answer = note("reload", peer);
    if (!answer) co_return answer.error();
    co_return Reloaded{*answer, {{"training.episodes", "300", "500", config::Applies::next_launch}}};
  }
  Result<std::string> start(const Peer& peer) override { return note("start", peer); }
  Result<std::string> stop(const Peer& peer) override { return note("stop", peer); }
  Result<std::string> checkpoint(const Peer& peer) override { return note("checkpoint", peer); }
  boost::asio::awaitable<Result<std::string>> fresh(const Peer& peer) override { co_return note("fresh", peer); }
  boost::asio::awaitable<Result<std::string>> restart(const Peer& peer, std::optional<std::string> from) override {
    co_return note(from ? "restart from " + *from : "restart", peer);
  }
  boost::asio::awaitable<Result<boost::json::object>> incidents(std::size_t limit) override {
    co_return document("incidents " + std::to_string(limit));
  }
  boost::asio::awaitable<Result<boost::json::object>> incident(std::string selector) override {
    co_return document("incident " + selector);
  }
  boost::asio::awaitable<Result<EventPage>> events(EventQuery query) override {
    if (refusal) co_return *refusal;
    co_return *ring.answer(query);
  }
  Changes& event_changes() override { return changes; }
  boost::asio::awaitable<Result<OutputPage>> newest_output(std::size_t limit) override {
    asked.push_back("newest_output " + std::to_string(limit));
    if (refusal) co_return *refusal;
    co_return ts::api::newest_output(output, limit);
  }
  boost::asio::awaitable<Result<OutputPage>> output_after(OutputPlace since) override {
    if (refusal) co_return *refusal;
    co_return ts::api::output_after(output, since);
  }
  std::filesystem::path output_file() const override { return output; }
  void turned_away(const Peer& peer, const std::string& what) override {
    asked.push_back("turned away: " + what);
    last_peer = peer;
  }
  void cut_off(const Peer&, const std::string& what, const std::string& place) override {
    cut.push_back(what + " " + place);
  }

  // Tells an event with this message.
  void tell(std::int64_t id, const std::string& message) {
    Event event;
    event.id = id;
    event.message = message;
    ring.add(std::make_shared<const EventLine>(to_line(event)));
    changes.tell();
  }

  std::filesystem::path output;  // what the worker is said to have printed
  EventRing ring{100'000};
  Changes changes;
  std::vector<std::string> cut;

 private:
  Result<boost::json::object> document(const std::string& what) {
    asked.push_back(what);
    if (refusal) return *refusal;
    return boost::json::object{{"format", 1}};
  }
  Result<std::string> note(const std::string& what, const Peer& peer) {
    asked.push_back(what);
    last_peer = peer;
    if (refusal) return *refusal;
    return "Done: " + what + ".";
  }
};

}  // namespace ts::api
