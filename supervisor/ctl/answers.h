// What the verbs that ask the supervisor share. Internal to supervisor/ctl.
#pragma once

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "common/base/json.h"
#include "common/base/result.h"
#include "common/base/text.h"
#include "supervisor/api/version.h"
#include "supervisor/ctl/client.h"
#include "supervisor/ctl/commands.h"

namespace ts::ctl {

inline constexpr std::size_t kReplyBytesMax = std::size_t{16} << 20;

inline void say(const std::string& text) {
  std::fputs((text + "\n").c_str(), stdout);
}

// What was said before it stays before it, also where both go into one file.
inline Exit complain(const std::string& sentence, Exit status) {
  std::fflush(stdout);
  std::fprintf(stderr, "supervisorctl: %s\n", sentence.c_str());
  return status;
}

inline Exit complain(const Error& error) {
  return complain(error.message, error.kind == ErrorKind::unavailable ? Exit::no_daemon : Exit::failed);
}

// How a request came out, with the status it came out with, where that is known: a sentence to people, a document
// (docs/FORMATS.md) to programs, which are told of a failure in both ways.
inline Exit conclude(const std::string& sentence, Exit exit, const std::optional<boost::json::object>& status,
                     bool as_json) {
  if (as_json) {
    const boost::json::object out = {{"format", 1},
                                     {"done", exit == Exit::ok},
                                     {"message", sentence},
                                     {"status", status ? boost::json::value(*status) : boost::json::value(nullptr)}};
    std::fputs(pretty_json(out).c_str(), stdout);
  } else if (exit == Exit::ok) {
    say(sentence);
  }
  return exit == Exit::ok ? exit : complain(sentence, exit);
}

inline Result<boost::json::object> object_in(const HttpReply& reply) {
  const auto document = parse_json(reply.body, "the supervisor's answer", kReplyBytesMax);
  if (!document) return document.error();
  const boost::json::object* object = document->if_object();
  if (object == nullptr) return make_error(ErrorKind::internal, "the supervisor's answer is no JSON object.");
  return *object;
}

// What a refusal says; and, when the supervisor is of another version, which may be why.
inline std::string detail_in(const HttpReply& reply) {
  const auto answer = object_in(reply);
  const auto detail = answer ? string_member(*answer, "detail") : std::nullopt;
  std::string out = escape_control(detail.value_or("The supervisor refused."));
  if (!reply.version.empty() && reply.version != api::kVersion) {
    out += " (The supervisor is version " + escape_control(reply.version) + ", this supervisorctl is " +
           std::string(api::kVersion) + ".)";
  }
  return out;
}

// Why there is nothing to look at in the directory of the checkpoints.
inline Error no_models(const std::filesystem::path& directory, const Error& error) {
  if (error.kind != ErrorKind::not_found) return error;
  return make_error(error.kind, "there is no directory " + escape_control(directory.string()) +
                                    ", so nothing has been trained here yet; or the training has another "
                                    "configuration than this: go to where it runs, or name it with --config.");
}

}  // namespace ts::ctl
