#include "supervisor/shell/config_in_force.h"

#include <span>
#include <string>

#include "common/base/text.h"
#include "common/config/settings.h"

namespace ts::shell {

Result<std::filesystem::path> write_config_in_force(const checkpoint::Directory& state_directory,
                                                    const config::Config& config,
                                                    const std::filesystem::path& original) {
  constexpr const char* kFile = "config.yaml";
  constexpr const char* kTemporary = "config.yaml.tmp";
  const std::string text = "# What the supervisor loaded from " + escape_control(original.string()) +
                           ", value by value: its workers read this.\n# Edit that file and say supervisorctl reload; " +
                           "this one is written anew at each start and reload.\n" + config::to_yaml(config);
  const auto cleared = state_directory.unlink(kTemporary);
  if (!cleared) return cleared.error();
  const auto written =
      state_directory.write_unsynced(kTemporary, std::as_bytes(std::span(text)), checkpoint::Directory::Readers::owner);
  if (!written) return written.error();
  const auto renamed = state_directory.rename_over(kTemporary, kFile);
  if (!renamed) return renamed.error();
  return state_directory.path() / kFile;
}

}  // namespace ts::shell
