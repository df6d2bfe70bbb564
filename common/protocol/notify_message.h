// The heartbeat: sd_notify datagrams, so that every existing sd_notify client is already a client of ours. Pure.
//
// A message is `KEY=VALUE` lines; a receiver ignores keys it does not know. Besides systemd's keys there are those of
// the design that begin with X_TRAINER_.
//
// Source: sd_notify(3), "Well-known assignments"; the receiving rules are those of systemd's own notify receiver.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace ts::protocol {

inline constexpr std::size_t kDatagramBytesMax = 4096;  // a longer one is dropped whole

enum class Phase { train, evaluate, save, load };

std::string_view to_string(Phase phase);
std::optional<Phase> parse_phase(std::string_view text);

using Metrics = std::map<std::string, double>;

// The worker's state after an episode lies in memory, in the file whose descriptor comes with the message.
struct SnapshotNotice {
  std::int64_t episode = 0;  // episodes completed, 1 or more
  std::uint64_t bytes = 0;   // of the file, which is what the .pt would be
  std::string digest;        // "xxh3-128:…" of them
  // The whole object as it was sent: a JSON object whose other members are those of a sidecar.
  std::string record;
  bool is_best = false;  // it says of itself that its model is the best so far

  bool operator==(const SnapshotNotice&) const = default;
};

// The notice that a record gives; nothing where it is no object, or one of the three members is missing or cannot be.
std::optional<SnapshotNotice> parse_snapshot(std::string_view record);

struct NotifyMessage {
  bool ready = false;
  bool stopping = false;
  bool watchdog = false;          // WATCHDOG=1
  bool watchdog_trigger = false;  // WATCHDOG=trigger: "treat me as hung"
  bool barrier = false;
  bool fd_store = false;               // FDSTORE=1: the descriptor that comes along is to be kept
  std::optional<std::string> fd_name;  // under this name
  std::optional<std::string> status;
  bool trouble = false;  // the status is about something that a person should know of
  std::optional<std::chrono::microseconds> extend_timeout;
  std::optional<std::int64_t> episode;  // episodes completed
  std::optional<std::int64_t> total;
  std::optional<std::int64_t> step;
  std::optional<Phase> phase;
  std::optional<Metrics> metrics;
  std::optional<std::string> checkpoint;  // path of a durable .pt
  std::optional<std::int64_t> resumed;    // episode that was really loaded; 0 for a fresh start
  std::optional<SnapshotNotice> snapshot;

  bool operator==(const NotifyMessage&) const = default;
};

// Refused (with the reason) are what systemd refuses: too long, an embedded NUL (one trailing NUL is fine), nothing in
// it. A known key with a malformed value is skipped, as if it were unknown, and never spoils the rest of the message.
Result<NotifyMessage> decode(std::string_view datagram);

// The datagram for a message. decode(encode(m)) == m for any m that says something, whose texts hold no newline, whose
// counts lie between 0 and 10^15 and whose snapshot is the one that its record gives.
std::string encode(const NotifyMessage& message);

// A message with a snapshot, made to fit into one datagram: the least needed goes first, and only as far as it must.
// The order: `config` and `exactness` of the record, X_TRAINER_METRICS (which the record has too), `best`, `metrics`
// and `run_id` of the record.
NotifyMessage fitted(NotifyMessage message);

}  // namespace ts::protocol
