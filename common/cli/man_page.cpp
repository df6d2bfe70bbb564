#include <algorithm>

#include "common/cli/program.h"

namespace ts::cli {
namespace {

// What roff would take for a request or an escape is none.
std::string escaped(std::string_view text) {
  std::string out;
  bool at_start = true;
  for (const char c : text) {
    if (at_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
    at_start = c == '\n';
  }
  return out;
}

// A macro's argument.
std::string argument(std::string_view text) {
  std::string out = "\"";
  for (const char c : escaped(text)) out += c == '"' ? std::string("\\(dq") : std::string(1, c);
  return out + "\"";
}

// Paragraphs are filled; lines that begin with a blank stay as they are.
std::string body(std::string_view text) {
  std::string out;
  bool verbatim = false;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const bool as_it_is = line.starts_with(' ');
    if (as_it_is != verbatim) out += as_it_is ? (out.empty() ? ".nf\n.RS 2\n" : ".PP\n.nf\n.RS 2\n") : ".RE\n.fi\n";
    verbatim = as_it_is;
    if (line.empty()) {
      out += ".PP\n";
    } else {
      out += escaped(as_it_is ? line.substr(line.find_first_not_of(' ')) : line) + "\n";
    }
  }
  if (verbatim) out += ".RE\n.fi\n";
  return out;
}

std::string section(std::string_view heading, std::string_view text) {
  return ".SH " + argument(heading) + "\n" + body(text);
}

std::string head(const ManPage& page) {
  const std::string number = std::to_string(page.section);
  std::string title = page.name;
  std::transform(title.begin(), title.end(), title.begin(), [](unsigned char c) { return std::toupper(c); });
  return ".TH " + argument(title) + " " + number + " \"\" " + argument("trainer-supervisor " + page.version) + "\n" +
         ".nh\n.SH NAME\n" + escaped(page.name) + " \\- " + escaped(page.purpose) + "\n";
}

std::string tail(const ManPage& page) {
  std::string out;
  for (const auto& [heading, text] : page.sections) out += section(heading, text);
  std::string others;
  for (const std::string& other : page.see_also) {
    const std::size_t open = other.find('(');
    others += ".BR " + escaped(other.substr(0, open)) + " " + escaped(other.substr(open)) +
              (&other == &page.see_also.back() ? "\n" : " ,\n");
  }
  return others.empty() ? out : out + ".SH \"SEE ALSO\"\n" + others;
}

bool is_shown(const CLI::Option* option) {
  return !option->get_group().empty();
}

// "-n,--count N", as --help has it.
std::string heading_of(const CLI::Option& option) {
  std::string names = option.get_name(option.get_positional(), true);
  std::string out;
  for (const char c : names) out += c == ',' ? std::string(", ") : std::string(1, c);
  if (option.get_positional()) return out;
  if (option.get_expected_max() > 0 && option.get_items_expected_max() > 0) out += " " + option.get_type_name();
  return out;
}

std::string options_of(const CLI::App& app) {
  std::string out;
  for (const CLI::Option* option : app.get_options(is_shown)) {
    const bool flag = option->get_items_expected_max() == 0;
    std::string text = option->get_description();
    if (!flag && !option->get_default_str().empty()) text += " (default: " + option->get_default_str() + ")";
    out += ".TP\n.B " + argument(heading_of(*option)) + "\n" + body(text);
  }
  return out;
}

std::vector<const CLI::App*> verbs_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* verb) { return !verb->get_group().empty(); });
}

std::string arguments_of(const CLI::App& verb) {
  std::string out;
  for (const CLI::Option* option : verb.get_options(is_shown)) {
    if (!option->get_positional()) continue;
    const std::string name = option->get_name(true, false);
    out += option->get_required() ? " " + name : " [" + name + "]";
  }
  return out;
}

std::string verb_sections(const CLI::App& app, const std::string& path) {
  std::string out;
  for (const CLI::App* verb : verbs_of(app)) {
    const std::string name = path + verb->get_name();
    const bool more = !verbs_of(*verb).empty();
    if (!more || verb->get_require_subcommand_min() == 0) {
      out += ".SS " + argument(name + arguments_of(*verb)) + "\n" + body(verb->get_description()) + options_of(*verb);
      if (!verb->get_footer().empty()) out += ".PP\n" + body(verb->get_footer());
    }
    out += verb_sections(*verb, name + " ");
  }
  return out;
}

}  // namespace

std::string man_page(const ManPage& page) {
  return head(page) + tail(page);
}

std::string man_page(const CLI::App& app, const ManPage& page) {
  const bool has_verbs = !verbs_of(app).empty();
  std::string out = head(page) + ".SH SYNOPSIS\n.B " + escaped(page.name) + "\n" +
                    escaped(has_verbs ? "[OPTIONS] VERB [ARGUMENTS]" : "[OPTIONS]") + "\n" +
                    section("DESCRIPTION", app.get_description());
  if (has_verbs) out += ".SH VERBS\n" + verb_sections(app, "");
  out += ".SH OPTIONS\n" + options_of(app);
  if (!app.get_footer().empty()) out += section("EXAMPLES", app.get_footer());
  return out + tail(page);
}

void add_man_page(CLI::App& app, ManPage page) {
  app.add_flag_callback(
         "--man-page", [&app, page = std::move(page)] { throw CLI::CallForVersion(man_page(app, page), 0); },
         "Print the manual page: --man-page | man -l -")
      ->group("");
}

}  // namespace ts::cli
