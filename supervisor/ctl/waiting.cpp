#include "supervisor/ctl/waiting.h"

#include "common/base/json.h"
#include "common/base/text.h"
#include "supervisor/ctl/status_reading.h"

namespace ts::ctl {

Result<Until> parse_until(std::string_view text) {
  constexpr std::string_view kEpisode = "episode=";
  if (text == "running") return Until{Until::Kind::running, 0};
  if (text == "stopped") return Until{Until::Kind::stopped, 0};
  if (text == "finished") return Until{Until::Kind::finished, 0};
  if (text.starts_with(kEpisode)) {
    const auto number = parse_plain_integer(text.substr(kEpisode.size()));
    if (number && *number > 0) return Until{Until::Kind::episode, *number};
  }
  return make_error(ErrorKind::configuration,
                    "--until takes running, stopped, finished or episode=N (a whole number from 1 "
                    "on), not " +
                        escape_control(text) + ".");
}

Awaited judge(const Until& until, const boost::json::object& status) {
  const std::string state = string_member(status, "state").value_or("");
  const bool waits = number_member(status, "deadline_in_s").has_value();
  const bool gave_up = state == "fatal" && !waits;
  // A worker that is stopped as asked, or has done all, begins again only when somebody says so.
  // (One whose supervisor is leaving is stopped too, but wanted.)
  const bool unwanted = state == "stopped" && string_member(status, "desired") == "down";
  const bool over = gave_up || state == "finished" || unwanted;
  const auto when = [&](bool there) { return there ? Awaited::there : over ? Awaited::never : Awaited::not_yet; };
  switch (until.kind) {
    case Until::Kind::running: return when(state == "running");
    case Until::Kind::stopped: return when(over || state == "stopped");
    case Until::Kind::finished: return when(state == "finished");
    case Until::Kind::episode: return when(integer_member(status, "episode").value_or(0) >= until.episode);
  }
  return Awaited::never;
}

}  // namespace ts::ctl
