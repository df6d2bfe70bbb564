#include <algorithm>

#include "common/cli/program.h"

namespace ts::cli {
namespace {

struct Word {
  std::string text;
  std::string help;  // one line
  bool takes_value = false;
};

// A place on the command line, and what may come there.
struct Place {
  std::string path;  // the verbs so far, each behind a blank: "", " checkpoints", " checkpoints show"
  std::vector<Word> verbs;
  std::vector<Word> options;
  std::vector<std::string> values;  // of the first argument, where it is one of these
  bool takes_file = false;          // its first argument may be a file
};

std::string first_line(const std::string& text) {
  return text.substr(0, text.find_first_of("\n"));
}

// A type name such as {bash,zsh,fish} or latest|best|epN|FILE: the words of it, but for those in capitals.
void read_values(const CLI::Option& option, Place& place) {
  std::string word;
  for (const char c : option.get_type_name() + "|") {
    if (c != '|' && c != ',' && c != '{' && c != '}') {
      word += c;
      continue;
    }
    const bool placeholder = std::any_of(word.begin(), word.end(), [](unsigned char l) { return std::isupper(l); });
    if (!word.empty() && !placeholder) place.values.push_back(word);
    if (word == "FILE") place.takes_file = true;
    word.clear();
  }
}

Place place_of(const CLI::App& app, const std::string& path) {
  Place place{path, {}, {}, {}, false};
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App* one) { return !one->get_group().empty(); })) {
    place.verbs.push_back({verb->get_name(), first_line(verb->get_description()), false});
  }
  bool first = true;
  for (const CLI::Option* option : app.get_options([](const CLI::Option* one) { return !one->get_group().empty(); })) {
    if (option->get_positional()) {
      if (std::exchange(first, false)) read_values(*option, place);
      continue;
    }
    const bool takes_value = option->get_items_expected_max() > 0;
    const std::string help = first_line(option->get_description());
    for (const std::string& name : option->get_lnames()) place.options.push_back({"--" + name, help, takes_value});
    for (const std::string& name : option->get_snames()) place.options.push_back({"-" + name, help, takes_value});
  }
  return place;
}

void collect(const CLI::App& app, const std::string& path, std::vector<Place>& places) {
  places.push_back(place_of(app, path));
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App* one) { return !one->get_group().empty(); })) {
    collect(*verb, path + " " + verb->get_name(), places);
  }
}

std::string in_quotes(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string function_name(const std::string& program) {
  std::string out = "_" + program;
  std::replace(out.begin(), out.end(), '-', '_');
  return out;
}

std::string words_of(const Place& place) {
  std::string out;
  for (const Word& word : place.verbs) out += (out.empty() ? "" : " ") + word.text;
  for (const std::string& value : place.values) out += (out.empty() ? "" : " ") + value;
  return out;
}

std::string options_of(const Place& place, bool with_values_only) {
  std::string out;
  for (const Word& option : place.options) {
    if (!with_values_only || option.takes_value) out += (out.empty() ? "" : " ") + option.text;
  }
  return out;
}

// Both shells walk over the words before the cursor, and pass over an option's value.
std::string walk(const std::vector<Place>& places, const std::string& words) {
  std::string valued;
  std::string known;
  for (const Place& place : places) {
    for (const Word& option : place.options) {
      if (option.takes_value && ("|" + valued + "|").find("|" + option.text + "|") == std::string::npos) {
        valued += (valued.empty() ? "" : "|") + option.text;
      }
    }
    for (const Word& verb : place.verbs) {
      known += (known.empty() ? "" : "|") + in_quotes(place.path + " " + verb.text);
    }
  }
  std::string out = "  local place='' word previous=''\n  for word in " + words + "; do\n";
  if (!valued.empty()) {
    out += "    case \"$previous\" in " + valued + ") previous=''; continue;; esac\n";
  }
  out += "    previous=\"$word\"\n";
  if (!known.empty()) out += "    case \"$place $word\" in " + known + ") place=\"$place $word\";; esac\n";
  out += "  done\n";
  if (!valued.empty()) out += "  case \"$previous\" in " + valued + ") place=value;; esac\n";
  return out;
}

std::string bash(const std::string& program, const std::vector<Place>& places) {
  const std::string function = function_name(program);
  std::string out = "# " + program + " completion for bash\n" + function +
                    "() {\n  local current=\"${COMP_WORDS[COMP_CWORD]}\"\n" +
                    walk(places, "\"${COMP_WORDS[@]:1:COMP_CWORD-1}\"") +
                    "  local words='' options='' files=''\n  case \"$place\" in\n    value) files=yes;;\n";
  for (const Place& place : places) {
    out += "    " + in_quotes(place.path) + ") words=" + in_quotes(words_of(place)) +
           " options=" + in_quotes(options_of(place, false)) + (place.takes_file ? " files=yes" : "") + ";;\n";
  }
  return out +
         "  esac\n  [[ $current == -* ]] && words=$options\n  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
         "  [[ $files ]] && COMPREPLY+=($(compgen -f -- \"$current\"))\n  return 0\n}\ncomplete -o filenames -F " +
         function + " " + program + "\n";
}

std::string described(const std::vector<Word>& words) {
  std::string out;
  for (const Word& word : words) {
    std::string item = word.text + ":" + word.help;
    out += " " + in_quotes(item);
  }
  return out;
}

std::string zsh(const std::string& program, const std::vector<Place>& places) {
  const std::string function = function_name(program);
  std::string out = "#compdef " + program + "\n" + function + "() {\n" + walk(places, "\"${(@)words[2,CURRENT-1]}\"") +
                    "  local -a verbs options\n  case \"$place\" in\n    value) _files; return;;\n";
  for (const Place& place : places) {
    std::vector<Word> verbs = place.verbs;
    for (const std::string& value : place.values) verbs.push_back({value, "", false});
    out += "    " + in_quotes(place.path) + ") verbs=(" + described(verbs) + ") options=(" + described(place.options) +
           ")" + (place.takes_file ? "; _files" : "") + ";;\n";
  }
  return out +
         "  esac\n  if [[ $PREFIX == -* ]]; then _describe option options; else _describe verb verbs; fi\n}\nif [ "
         "\"$funcstack[1]\" = " +
         in_quotes(function) + " ]; then " + function + "; else compdef " + function + " " + program + "; fi\n";
}

// fish says itself which verbs have been seen; a nested one is offered behind its parent alone.
std::string fish(const std::string& program, const std::vector<Place>& places) {
  const std::string function = "_" + function_name(program) + "_place";
  std::string out = "# " + program + " completion for fish\nfunction " + function +
                    "\n  set -l place ''\n  for word in (commandline -opc)[2..-1]\n    switch \"$place $word\"\n";
  for (const Place& place : places) {
    for (const Word& verb : place.verbs) {
      out += "      case " + in_quotes(place.path + " " + verb.text) + "\n        set place \"$place $word\"\n";
    }
  }
  out += "    end\n  end\n  test \"$place\" = \"$argv[1]\"\nend\ncomplete -c " + program + " -f\n";
  for (const Place& place : places) {
    const std::string begin = "complete -c " + program + " -n " + in_quotes(function + " \"" + place.path + "\"");
    for (const Word& verb : place.verbs) out += begin + " -a " + verb.text + " -d " + in_quotes(verb.help) + "\n";
    for (const std::string& value : place.values) out += begin + " -a " + in_quotes(value) + "\n";
    if (place.takes_file) out += begin + " -F\n";
    for (const Word& option : place.options) {
      const bool is_long = option.text.starts_with("--");
      out += begin + (is_long ? " -l " + option.text.substr(2) : " -s " + option.text.substr(1)) +
             (option.takes_value ? " -r -F" : "") + " -d " + in_quotes(option.help) + "\n";
    }
  }
  return out;
}

}  // namespace

std::optional<std::string> completion(const CLI::App& app, std::string_view shell) {
  std::vector<Place> places;
  collect(app, "", places);
  if (shell == "bash") return bash(app.get_name(), places);
  if (shell == "zsh") return zsh(app.get_name(), places);
  if (shell == "fish") return fish(app.get_name(), places);
  return std::nullopt;
}

}  // namespace ts::cli
