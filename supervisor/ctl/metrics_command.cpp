// supervisorctl metrics: reads the history itself, so it works with no daemon running.
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <set>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "common/base/json.h"
#include "common/base/text.h"
#include "common/checkpoint/directory.h"
#include "common/checkpoint/history.h"
#include "supervisor/ctl/answers.h"
#include "supervisor/ctl/columns.h"
#include "supervisor/ctl/commands.h"
#include "supervisor/ctl/plot.h"

namespace ts::ctl {
namespace {

namespace json = boost::json;
using checkpoint::HistoryEntry;
using History = std::vector<HistoryEntry>;

constexpr std::int64_t kFormat = 1;
constexpr std::size_t kHeightMax = 16;
constexpr std::size_t kHeightMin = 5;
constexpr std::size_t kBesidePlot = 5;  // lines: the title, the axis, the best, the prompt

Result<History> read_history(const config::Config& config) {
  using checkpoint::Directory;
  const std::filesystem::path& path = config.checkpoints.directory;
  const auto directory = Directory::open(path, Directory::Create::no);
  if (!directory) return no_models(path, directory.error());
  const auto file = directory->read_file(std::string(checkpoint::kHistoryFile), checkpoint::kHistoryBytesMax);
  const bool missing = !file && file.error().kind == ErrorKind::not_found;
  if (!file && !missing) return file.error();
  History history = missing ? History() : checkpoint::parse_history(file->text());
  if (!history.empty()) return history;
  return make_error(
      ErrorKind::not_found,
      directory->path_of(checkpoint::kHistoryFile) + (missing ? " does not exist" : " holds no episode") +
          (config.worker.command.empty() ? "; the trainer writes it from its first episode on."
                                         : ". Our own trainer writes that, and worker.command names another "
                                           "program: supervisorctl status shows the newest metrics it told."));
}

std::vector<std::string> names_in(const History& history) {
  std::set<std::string> names;
  for (const HistoryEntry& entry : history) {
    for (const auto& [name, value] : entry.metrics) names.insert(name);
  }
  return {names.begin(), names.end()};
}

double value_of(const HistoryEntry& entry, const std::string& name) {
  const auto found = entry.metrics.find(name);
  return found == entry.metrics.end() ? std::numeric_limits<double>::quiet_NaN() : found->second;
}

std::optional<std::int64_t> best_of(const History& history, const std::string& name, const config::Config& config) {
  if (name != config.checkpoints.best_metric) return std::nullopt;
  const bool most = config.checkpoints.best_mode == config::BestMode::max;
  const HistoryEntry* best = nullptr;
  for (const HistoryEntry& entry : history) {
    const double value = value_of(entry, name);
    if (!std::isfinite(value)) continue;
    const bool better = best == nullptr || (most ? value > value_of(*best, name) : value < value_of(*best, name));
    if (better) best = &entry;
  }
  return best == nullptr ? std::nullopt : std::optional(best->episode);
}

std::string number_or_dash(double value) {
  return std::isfinite(value) ? short_number(value) : "-";
}

std::string render_table(const History& history) {
  const HistoryEntry& newest = history.back();
  std::vector<std::vector<std::string>> rows = {{"metric", "newest", "least", "greatest"}};
  for (const std::string& name : names_in(history)) {
    double least = std::numeric_limits<double>::quiet_NaN();
    double greatest = least;
    for (const HistoryEntry& entry : history) {
      least = std::fmin(least, value_of(entry, name));
      greatest = std::fmax(greatest, value_of(entry, name));
    }
    rows.push_back({escape_control(name), number_or_dash(value_of(newest, name)), number_or_dash(least),
                    number_or_dash(greatest)});
  }
  return "episode " + std::to_string(newest.episode) + ", " + escape_control(newest.time) + ", attempt " +
         std::to_string(newest.attempt) + "; least and greatest of episodes " +
         std::to_string(history.front().episode) + " to " + std::to_string(newest.episode) + "\n" + table(rows);
}

std::string render(const History& history, const std::string& name, const config::Config& config) {
  PlotOptions options;
  options.title = name;
  const auto variable = [](const char* which) {
    const char* value = std::getenv(which);
    return std::string_view(value == nullptr ? "" : value);
  };
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    options.width = size.ws_col;
    const std::size_t rows = std::max<std::size_t>(size.ws_row, kHeightMin + kBesidePlot) - kBesidePlot;
    options.height = std::min(kHeightMax, rows);
  } else if (const auto columns = parse_plain_integer(variable("COLUMNS")); columns && *columns > 0) {
    options.width = static_cast<std::size_t>(*columns);
  }
  options.braille = is_utf8_locale(variable("LC_ALL"), variable("LC_CTYPE"), variable("LANG"));
  options.best = best_of(history, name, config);
  std::vector<PlotPoint> points;
  for (const HistoryEntry& entry : history) points.push_back({entry.episode, value_of(entry, name)});
  std::string out = render_plot(points, options);
  if (!options.best) return out;
  const auto best = std::find_if(history.begin(), history.end(),
                                 [&](const HistoryEntry& entry) { return entry.episode == *options.best; });
  return out + (options.braille ? "\u25cf" : "O") + " best: " + short_number(value_of(*best, name)) + " in episode " +
         std::to_string(*options.best) + "\n";
}

json::object document(const std::filesystem::path& directory, const History& history,
                      const std::optional<std::string>& only) {
  json::array entries;
  for (const HistoryEntry& entry : history) {
    json::object metrics;
    for (const auto& [name, value] : entry.metrics) {
      if (!only || *only == name) metrics[name] = value;
    }
    entries.push_back(json::object{{"episode", entry.episode},
                                   {"time", entry.time},
                                   {"run_id", entry.run_id},
                                   {"attempt", entry.attempt},
                                   {"metrics", std::move(metrics)}});
  }
  json::array names;
  for (const std::string& name : names_in(history)) names.emplace_back(name);
  json::object out;
  out["format"] = kFormat;
  out["directory"] = escape_control(directory.string());
  out["names"] = std::move(names);
  out["history"] = std::move(entries);
  return out;
}

std::string unknown(const std::string& name, const std::vector<std::string>& names) {
  std::vector<std::string> shown;
  for (const std::string& known : names) shown.push_back(escape_control(known));
  return "there is no metric \"" + escape_control(name) + "\"; there are: " + join(shown, ", ") + ".";
}

}  // namespace

Exit show_metrics(const config::Config& config, const MetricsOptions& options) {
  auto history = read_history(config);
  if (!history) return complain(history.error().message, Exit::failed);
  const auto names = names_in(*history);
  if (options.plot && std::find(names.begin(), names.end(), *options.plot) == names.end()) {
    return complain(unknown(*options.plot, names), Exit::usage);
  }
  if (options.last && *options.last < history->size()) {
    history->erase(history->begin(), history->end() - static_cast<std::ptrdiff_t>(*options.last));
  }
  const std::string text = options.json   ? pretty_json(document(config.checkpoints.directory, *history, options.plot))
                           : options.plot ? render(*history, *options.plot, config)
                                          : render_table(*history);
  std::fputs(text.c_str(), stdout);
  return Exit::ok;
}

}  // namespace ts::ctl
