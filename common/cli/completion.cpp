#include <algorithm>
#include <map>
#include <optional>

#include "common/cli/program.h"

namespace ts::cli {
namespace {

// What may stand for a value: one of these words, or a file.
struct Value {
  std::vector<std::string> words;
  bool file = false;
};

struct Word {
  std::string text;
  std::string help;            // one line
  std::optional<Value> value;  // of an option that takes one
};

// A place on the command line, and what may come there.
struct Place {
  std::string path;  // the verbs so far, each behind a blank: "", " checkpoints", " checkpoints show"
  std::vector<Word> verbs;
  std::vector<Word> options;
  Value value;  // of the first argument
};

std::string first_line(const std::string& text) {
  return text.substr(0, text.find_first_of("\n"));
}

// A type name such as {bash,zsh,fish} or latest|best|epN|FILE: the words of it, but for those in capitals.
Value value_of(const CLI::Option& option) {
  Value value;
  std::string word;
  for (const char c : option.get_type_name() + "|") {
    if (c != '|' && c != ',' && c != '{' && c != '}') {
      word += c;
      continue;
    }
    const bool placeholder = std::any_of(word.begin(), word.end(), [](unsigned char l) { return std::isupper(l); });
    if (!word.empty() && !placeholder) value.words.push_back(word);
    if (word == "FILE") value.file = true;
    word.clear();
  }
  return value;
}

Place place_of(const CLI::App& app, const std::string& path) {
  Place place{path, {}, {}, {}};
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App* one) { return !one->get_group().empty(); })) {
    place.verbs.push_back({verb->get_name(), first_line(verb->get_description()), std::nullopt});
  }
  bool first = true;
  for (const CLI::Option* option : app.get_options([](const CLI::Option* one) { return !one->get_group().empty(); })) {
    if (option->get_positional()) {
      if (std::exchange(first, false)) place.value = value_of(*option);
      continue;
    }
    std::optional<Value> value;
    if (option->get_items_expected_max() > 0) value = value_of(*option);
    const std::string help = first_line(option->get_description());
    for (const std::string& name : option->get_lnames()) place.options.push_back({"--" + name, help, value});
    for (const std::string& name : option->get_snames()) place.options.push_back({"-" + name, help, value});
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

std::string with_blanks(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

std::string words_of(const Place& place) {
  std::vector<std::string> words;
  for (const Word& word : place.verbs) words.push_back(word.text);
  words.insert(words.end(), place.value.words.begin(), place.value.words.end());
  return with_blanks(words);
}

std::string options_of(const Place& place) {
  std::vector<std::string> words;
  for (const Word& option : place.options) words.push_back(option.text);
  return with_blanks(words);
}

// Each option that takes a value, once: an option means the same behind every verb.
std::map<std::string, Value> values_of(const std::vector<Place>& places) {
  std::map<std::string, Value> out;
  for (const Place& place : places) {
    for (const Word& option : place.options) {
      if (option.value) out.emplace(option.text, *option.value);
    }
  }
  return out;
}

// Both shells walk over the words before the cursor, and pass over an option's value.
std::string walk(const std::vector<Place>& places, const std::string& words) {
  std::string valued;
  std::string known;
  for (const auto& [option, value] : values_of(places)) valued += (valued.empty() ? "" : "|") + option;
  for (const Place& place : places) {
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
  if (!valued.empty()) out += "  case \"$previous\" in " + valued + ") place=\"value $previous\";; esac\n";
  return out;
}

std::string bash(const std::string& program, const std::vector<Place>& places) {
  const std::string function = function_name(program);
  std::string out = "# " + program + " completion for bash\n" + function +
                    "() {\n  local current=\"${COMP_WORDS[COMP_CWORD]}\"\n" +
                    walk(places, "\"${COMP_WORDS[@]:1:COMP_CWORD-1}\"") +
                    "  local words='' options='' files=''\n  case \"$place\" in\n";
  for (const auto& [option, value] : values_of(places)) {
    out += "    " + in_quotes("value " + option) + ") words=" + in_quotes(with_blanks(value.words)) +
           (value.file ? " files=yes" : "") + ";;\n";
  }
  for (const Place& place : places) {
    out += "    " + in_quotes(place.path) + ") words=" + in_quotes(words_of(place)) +
           " options=" + in_quotes(options_of(place)) + (place.value.file ? " files=yes" : "") + ";;\n";
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
                    "  local -a verbs options\n  case \"$place\" in\n";
  for (const auto& [option, value] : values_of(places)) {
    std::string words;
    for (const std::string& word : value.words) words += " " + in_quotes(word);
    out += "    " + in_quotes("value " + option) + ") " + (words.empty() ? "" : "compadd --" + words + "; ") +
           (value.file ? "_files; " : "") + "return;;\n";
  }
  for (const Place& place : places) {
    std::vector<Word> verbs = place.verbs;
    for (const std::string& value : place.value.words) verbs.push_back({value, "", std::nullopt});
    out += "    " + in_quotes(place.path) + ") verbs=(" + described(verbs) + ") options=(" + described(place.options) +
           ")" + (place.value.file ? "; _files" : "") + ";;\n";
  }
  return out +
         "  esac\n  if [[ $PREFIX == -* ]]; then _describe option options; else _describe verb verbs; fi\n}\nif [ "
         "\"$funcstack[1]\" = " +
         in_quotes(function) + " ]; then " + function + "; else compdef " + function + " " + program + "; fi\n";
}

std::string value_options(const Word& option) {
  if (!option.value) return "";
  const std::string words = with_blanks(option.value->words);
  return (option.value->file ? " -r -F" : " -x") + (words.empty() ? std::string() : " -a " + in_quotes(words));
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
    for (const std::string& value : place.value.words) out += begin + " -a " + in_quotes(value) + "\n";
    if (place.value.file) out += begin + " -F\n";
    for (const Word& option : place.options) {
      const bool is_long = option.text.starts_with("--");
      out += begin + (is_long ? " -l " + option.text.substr(2) : " -s " + option.text.substr(1)) +
             value_options(option) + " -d " + in_quotes(option.help) + "\n";
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
