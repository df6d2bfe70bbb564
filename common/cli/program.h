// What every program of ours offers besides its own: a manual page and completions that are made from the very
// definition that --help is made from, so that the three never differ. Pure but for add_man_page.
//
// Sources: man(7) and man-pages(7) for the page; bash(1) "Programmable Completion", zshcompsys(1), fish complete(1).
// Threading: plain functions. Errors: none.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

namespace ts::cli {

struct ManPage {
  std::string name;  // "supervisorctl"
  int section = 1;
  std::string purpose;  // the line that whatis(1) shows, without the name
  std::string version;
  // Between the options and the end: "EXIT STATUS" and its text. Lines that begin with a blank are shown as they are.
  std::vector<std::pair<std::string, std::string>> sections;
  std::vector<std::string> see_also;  // "trainer(1)"
};

// In the man macros. Verbs and options come from `app`, which is the root.
std::string man_page(const CLI::App& app, const ManPage& page);

// The same without a program: a page that is sections only.
std::string man_page(const ManPage& page);

// A hidden option --man-page, which prints it.
void add_man_page(CLI::App& app, ManPage page);

// The verb that was named last; without verbs the program itself. After parsing.
const CLI::App& innermost(const CLI::App& root);

// Whether parsing ended for something wrong, and not for a --help or --version: help on what does not exist would be
// help on something else.
bool is_wrong(const CLI::App& root, const CLI::ParseError& error);

// Then: a sentence that names what was wrong, the nearest right word, and where help is.
std::string what_is_wrong(const CLI::App& root, const CLI::ParseError& error);

// The script that completes the command line of `app` in bash, zsh or fish; nothing for another shell.
std::optional<std::string> completion(const CLI::App& app, std::string_view shell);

}  // namespace ts::cli
