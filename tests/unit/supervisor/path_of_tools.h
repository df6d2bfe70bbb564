// A PATH that holds only what a test puts there, for as long as the object lives.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "tests/unit/session/temp_directory.h"

namespace ts::shell {

class PathOfTools {
 public:
  PathOfTools() { ::setenv("PATH", directory_.path().c_str(), 1); }
  ~PathOfTools() { ::setenv("PATH", before_.c_str(), 1); }
  PathOfTools(const PathOfTools&) = delete;
  PathOfTools& operator=(const PathOfTools&) = delete;

  const std::filesystem::path& directory() const { return directory_.path(); }

  // A shell script, which itself has the usual PATH.
  void add(const std::string& name, const std::string& script) const {
    const auto file = directory_ / name;
    write_text(file, "#!/bin/sh\nPATH=/usr/bin:/bin\nexport PATH\n" + script + "\n");
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
  }
  // The system's own program; false when there is none.
  bool add_real(const std::string& name) const {
    for (const std::string place : {"/usr/bin/", "/bin/"}) {
      if (!std::filesystem::exists(place + name)) continue;
      std::filesystem::create_symlink(place + name, directory_ / name);
      return true;
    }
    return false;
  }

 private:
  TempDirectory directory_;
  std::string before_ = ::getenv("PATH") == nullptr ? "" : ::getenv("PATH");
};

}  // namespace ts::shell
