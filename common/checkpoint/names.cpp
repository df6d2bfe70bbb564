#include "common/checkpoint/names.h"

#include "common/base/text.h"

namespace ts::checkpoint {
namespace {

constexpr std::string_view kPrefix = "model_ep";
constexpr std::string_view kArchiveSuffix = ".pt";
constexpr std::string_view kSidecarSuffix = ".json";
constexpr std::string_view kPinSuffix = ".pin";
constexpr std::string_view kTemporaryMark = ".tmp-";

std::optional<Episode> parse_episode(std::string_view digits) {
  const auto number = parse_plain_integer(digits);
  if (!number || *number > kEpisodeMax) return std::nullopt;
  return number;
}

}  // namespace

std::string archive_name(Episode episode) {
  return std::string(kPrefix) + std::to_string(episode) + std::string(kArchiveSuffix);
}

std::string sidecar_name(Episode episode) {
  return std::string(kPrefix) + std::to_string(episode) + std::string(kSidecarSuffix);
}

std::string pin_name(Episode episode) {
  return std::string(kPrefix) + std::to_string(episode) + std::string(kPinSuffix);
}

std::optional<EpisodeFile> parse_episode_file(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  FileKind kind = FileKind::archive;
  if (name.ends_with(kArchiveSuffix)) {
    name.remove_suffix(kArchiveSuffix.size());
  } else if (name.ends_with(kSidecarSuffix)) {
    name.remove_suffix(kSidecarSuffix.size());
    kind = FileKind::sidecar;
  } else if (name.ends_with(kPinSuffix)) {
    name.remove_suffix(kPinSuffix.size());
    kind = FileKind::pin;
  } else {
    return std::nullopt;
  }
  const auto episode = parse_episode(name);
  if (!episode) return std::nullopt;
  return EpisodeFile{*episode, kind};
}

std::string temporary_name(const TemporaryName& name) {
  return "." + name.final_name + std::string(kTemporaryMark) + std::to_string(name.pid) + "-" +
         std::to_string(name.sequence);
}

std::optional<TemporaryName> parse_temporary_name(std::string_view name) {
  if (!name.starts_with('.')) return std::nullopt;
  name.remove_prefix(1);
  const std::size_t mark = name.rfind(kTemporaryMark);
  if (mark == std::string_view::npos) return std::nullopt;
  const std::string_view final_name = name.substr(0, mark);
  // A pin is empty and made under its own name: it has no temporary file.
  const auto episode_file = parse_episode_file(final_name);
  const bool of_a_pair = episode_file && episode_file->kind != FileKind::pin;
  const bool ours = of_a_pair || final_name == kBestArchive || final_name == kBestSidecar || final_name == kIntentFile;
  if (!ours) return std::nullopt;

  const std::string_view numbers = name.substr(mark + kTemporaryMark.size());
  const std::size_t dash = numbers.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto pid = parse_plain_integer(numbers.substr(0, dash));
  const auto sequence = parse_plain_integer(numbers.substr(dash + 1));
  if (!pid || !sequence) return std::nullopt;
  return TemporaryName{std::string(final_name), *pid, *sequence};
}

Result<Selector> parse_selector(std::string_view text) {
  if (text == "latest") return Selector(Latest{});
  if (text == "best") return Selector(Best{});
  if (text.find('/') != std::string_view::npos || text.ends_with(kArchiveSuffix)) {
    return Selector(AtPath{std::string(text)});
  }
  const auto episode = parse_episode(text.starts_with("ep") ? text.substr(2) : text);
  if (episode) return Selector(AtEpisode{*episode});
  return make_error(ErrorKind::not_found, "\"" + escape_control(text) +
                                              "\" does not name a checkpoint; use latest, best, ep200 (an episode), or "
                                              "the path of a .pt file.");
}

std::string to_string(const Selector& selector) {
  struct Printer {
    std::string operator()(const Latest&) const { return "latest"; }
    std::string operator()(const Best&) const { return "best"; }
    std::string operator()(const AtEpisode& at) const { return "ep" + std::to_string(at.episode); }
    std::string operator()(const AtPath& at) const { return escape_control(at.path); }
  };
  return std::visit(Printer{}, selector);
}

}  // namespace ts::checkpoint
