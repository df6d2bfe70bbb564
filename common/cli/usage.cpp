// What is wrong with a command line, as a person wants to be told.
#include <optional>
#include <string_view>

#include "common/base/text.h"
#include "common/cli/program.h"

namespace ts::cli {
namespace {

std::string suggestion(std::string_view word, const std::vector<std::string>& candidates) {
  const std::vector<std::string_view> views(candidates.begin(), candidates.end());
  const auto nearest = nearest_name(word, views);
  return nearest ? "; did you mean " + *nearest + "?" : ".";
}

// "supervisorctl checkpoints show"
std::string full_name(const CLI::App& app) {
  const CLI::App* parent = app.get_parent();
  return parent == nullptr ? app.get_name() : full_name(*parent) + " " + app.get_name();
}

// A verb of these that has a verb of its own with this name: "checkpoints release" for release.
std::optional<std::string> nested(const std::vector<const CLI::App*>& verbs, const std::string& word) {
  for (const CLI::App* verb : verbs) {
    const auto found = verb->get_subcommands([&](const CLI::App* inner) { return inner->get_name() == word; });
    if (!found.empty()) return verb->get_name() + " " + word;
  }
  return std::nullopt;
}

// A word that could not be placed, and what may have been meant.
std::string out_of_place(const CLI::App& at, const std::string& word) {
  const std::vector<const CLI::App*> under = at.get_subcommands([](const CLI::App*) { return true; });
  const std::string shown = escape_control(word);
  std::vector<std::string> candidates;
  if (word.size() > 1 && word.front() == '-') {
    for (const CLI::Option* option : at.get_options()) {
      for (const std::string& known : option->get_lnames()) candidates.push_back("--" + known);
    }
    return "there is no option " + shown + suggestion(word, candidates);
  }
  if (under.empty()) {
    const bool has_from = at.get_option_no_throw("--from") != nullptr;
    return shown + " is one word too many" + (has_from ? "; did you mean --from " + shown + "?" : ".");
  }
  if (const auto inner = nested(under, word)) return "there is no verb " + shown + "; did you mean " + *inner + "?";
  for (const CLI::App* verb : under) candidates.push_back(verb->get_name());
  return "there is no verb " + shown + suggestion(word, candidates);
}

// The first word that has to be given and is not.
const CLI::Option* missing_word(const CLI::App& at) {
  for (const CLI::Option* option : at.get_options()) {
    if (option->get_positional() && option->get_required() && option->count() == 0) return option;
  }
  return nullptr;
}

}  // namespace

const CLI::App& innermost(const CLI::App& root) {
  const CLI::App* at = &root;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  return *at;
}

bool is_wrong(const CLI::App& root, const CLI::ParseError& error) {
  return error.get_exit_code() != 0 || !root.remaining(true).empty();
}

std::string what_is_wrong(const CLI::App& root, const CLI::ParseError& error) {
  const CLI::App& at = innermost(root);
  const std::string help = " " + full_name(at) + " --help says what there is.";
  const std::vector<std::string> left = root.remaining(true);
  if (!left.empty()) return out_of_place(at, left.front()) + help;
  const bool required = error.get_name() == "RequiredError";
  if (const CLI::Option* missing = missing_word(at); required && missing != nullptr) {
    return "a word is missing, " + missing->get_type_name() + ": " + missing->get_description() + "." + help;
  }
  if (required && at.get_require_subcommand_min() > 0) return "a verb is missing." + help;
  return escape_control(error.what()) + "." + help;
}

}  // namespace ts::cli
