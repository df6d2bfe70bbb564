// How a value is read from its place in the file, and written as the file would say it: one Reader for each kind of
// value, each with the words that say what it accepts, so that what is documented, what is checked and what a refusal
// says cannot differ. What is written reads back as the same value.
//
// What quotes mean: numbers and true/false are written without them and refused inside them ("300" is text). Texts,
// paths, durations and sizes may be written either way.
//
// Ownership and threading: a Reader owns what it needs and is used from one thread at a time or several alike; reading
// is pure. Errors: a Refusal, never an exception.
#pragma once

#include <charconv>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/config/yaml_tree.h"

namespace ts::config {

// Why a value was not taken. The sentence is a predicate; whoever knows the key's name puts it in front.
struct Refusal {
  Place place;
  std::string sentence;
};

template <class T>
using Reading = std::variant<T, Refusal>;

template <class T>
struct Reader {
  std::string expects;  // "a whole number from 1 to 1024": completes "<key> must be"
  std::function<Reading<T>(const Node&)> read;
  std::function<std::string(const T&)> write;  // on one line, in YAML's flow style
};

// "must be <expects>, not <what the node is>".
Refusal refuse(const Node& node, const std::string& expects);

// A text as YAML, in quotes where it would be something else, or several lines, without them.
std::string yaml_text(std::string_view text);

// An interval of numbers; `above` and `below` exclude the end itself.
struct Range {
  double low = 0;
  double high = 0;
  bool above = false;
  bool below = false;
};

Reader<bool> boolean();
Reader<double> number(Range range);  // finite; 0.0005 and 5e-4 alike
Reader<std::chrono::milliseconds> duration(std::chrono::milliseconds low, std::chrono::milliseconds high);
Reader<std::chrono::milliseconds> duration_or_0s(std::string meaning_of_0s, std::chrono::milliseconds low,
                                                 std::chrono::milliseconds high);
Reader<std::uint64_t> size(std::uint64_t low, std::uint64_t high);
Reader<std::string> text();  // any text without a NUL, which neither a path nor an argument can hold
Reader<std::filesystem::path> path();
Reader<std::string> device();
Reader<std::string> identifier();
Reader<std::string> loopback_listener();
Reader<std::vector<std::string>> command_words();  // a list of texts; the first, if any, is a program and not empty
Reader<std::map<std::string, std::string>> environment();

// Base 10 without sign, blanks, separators or leading zeros: 010 is eight in YAML 1.1 and ten in YAML 1.2.
template <std::integral T>
Reader<T> whole(T low, T high) {
  const std::string expects = "a whole number from " + std::to_string(low) + " to " + std::to_string(high);
  return {expects,
          [=](const Node& node) -> Reading<T> {
            const std::string& digits = node.text;
            T value{};
            const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
            const bool plain = node.kind == Node::Kind::text && !node.quoted && error == std::errc{} &&
                               end == digits.data() + digits.size() && (digits == "0" || digits.front() != '0');
            if (!plain || value < low || value > high) return refuse(node, expects);
            return value;
          },
          [](const T& value) { return std::to_string(value); }};
}

// One of a few words, each with the value it stands for.
template <class T>
Reader<T> one_of(std::vector<std::pair<std::string, T>> words) {
  std::string expects;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) expects += i + 1 == words.size() ? " or " : ", ";
    expects += words[i].first;
  }
  return {expects,
          [=](const Node& node) -> Reading<T> {
            for (const auto& [word, value] : words) {
              if (node.kind == Node::Kind::text && node.text == word) return value;
            }
            return refuse(node, expects);
          },
          [=](const T& value) {
            for (const auto& [word, stands_for] : words) {
              if (stands_for == value) return word;
            }
            return std::string();
          }};
}

// A list; a refusal points at the item that is wrong.
template <class T>
Reader<std::vector<T>> list_of(Reader<T> item, std::size_t fewest, std::size_t most) {
  const std::string expects = "a list of " + (fewest > 0 ? std::to_string(fewest) + " to " : "at most ") +
                              std::to_string(most) + " values, each " + item.expects;
  return {expects,
          [=](const Node& node) -> Reading<std::vector<T>> {
            if (node.kind != Node::Kind::list) return refuse(node, expects);
            if (node.items.size() < fewest || node.items.size() > most) {
              return Refusal{node.place, "must be " + expects + ", not a list of " + std::to_string(node.items.size())};
            }
            std::vector<T> values;
            for (const Node& child : node.items) {
              Reading<T> reading = item.read(child);
              if (auto* refusal = std::get_if<Refusal>(&reading)) {
                refusal->sentence = "item " + std::to_string(values.size() + 1) + " " + refusal->sentence;
                return std::move(*refusal);
              }
              values.push_back(std::move(std::get<T>(reading)));
            }
            return values;
          },
          [=](const std::vector<T>& values) {
            std::string out;
            for (const T& value : values) out += (out.empty() ? "" : ", ") + item.write(value);
            return "[" + out + "]";
          }};
}

// `auto`, which is nothing, or what `reader` reads.
template <class T>
Reader<std::optional<T>> automatic(Reader<T> reader) {
  const std::string expects = "auto or " + reader.expects;
  return {expects,
          [=](const Node& node) -> Reading<std::optional<T>> {
            if (node.kind == Node::Kind::text && node.text == "auto") return std::optional<T>{};
            Reading<T> reading = reader.read(node);
            if (auto* value = std::get_if<T>(&reading)) return std::optional<T>{std::move(*value)};
            Refusal refusal = std::get<Refusal>(std::move(reading));
            if (refusal.place == node.place) return refuse(node, expects);
            return refusal;
          },
          [=](const std::optional<T>& value) { return value ? reader.write(*value) : std::string("auto"); }};
}

}  // namespace ts::config
