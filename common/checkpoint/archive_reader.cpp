#include "common/checkpoint/archive_reader.h"

#include <string>

#include "common/base/text.h"
#include "common/checkpoint/zip_reader.h"

namespace ts::checkpoint {
namespace {

Result<Archive> read(std::span<const std::byte> file, CrcCheck crc_check) {
  const auto directory = read_zip_directory(file);
  if (!directory) return directory.error();
  if (crc_check == CrcCheck::verify) {
    const auto intact = check_crcs(*directory);
    if (!intact) return intact.error();
  }
  const auto entry = [&](const std::string& name) -> Result<std::span<const std::byte>> {
    const auto found = directory->entries.find(directory->folder + name);
    if (found == directory->entries.end()) {
      return make_error(ErrorKind::checkpoint, "it has no entry \"" + escape_control(name) + "\"");
    }
    return found->second.data;
  };
  const auto byte_order = entry("byteorder");
  if (byte_order &&
      std::string_view(reinterpret_cast<const char*>(byte_order->data()), byte_order->size()) != "little") {
    return make_error(ErrorKind::checkpoint, "it was written on a big-endian machine, which is not supported");
  }
  const auto pickle = entry("data.pkl");
  if (!pickle) return pickle.error();
  return unpickle_state(*pickle, [&](std::string_view key) { return entry("data/" + std::string(key)); });
}

}  // namespace

Result<Archive> read_archive(std::span<const std::byte> file, std::string_view name, CrcCheck crc_check) {
  auto archive = read(file, crc_check);
  if (!archive) {
    return make_error(ErrorKind::checkpoint,
                      escape_control(name) + " cannot be used as a checkpoint: " + archive.error().message + ".");
  }
  return archive;
}

}  // namespace ts::checkpoint
