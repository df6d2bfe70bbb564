#include "tests/unit/checkpoint/archive_builder.h"

#include <libdeflate.h>

namespace ts::checkpoint {

using pickle::little_endian;

std::string zip_of(const std::vector<RawEntry>& entries) {
  std::string file;
  std::string directory;
  for (const RawEntry& entry : entries) {
    const std::uint32_t crc = entry.crc.value_or(libdeflate_crc32(0, entry.data.data(), entry.data.size()));
    const std::uint64_t bytes = entry.bytes.value_or(static_cast<std::uint32_t>(entry.data.size()));
    const std::string common = little_endian(20, 2) + little_endian(entry.flags, 2) + little_endian(entry.method, 2) +
                               little_endian(0, 2) + little_endian(0x21, 2) + little_endian(crc, 4) +
                               little_endian(bytes, 4) + little_endian(bytes, 4) + little_endian(entry.name.size(), 2) +
                               little_endian(0, 2);
    const std::uint64_t offset = entry.header_offset.value_or(static_cast<std::uint32_t>(file.size()));
    file += "PK\x03\x04" + common + entry.name + entry.data;
    directory +=
        "PK\x01\x02" + little_endian(20, 2) + common + little_endian(0, 10) + little_endian(offset, 4) + entry.name;
  }
  const std::size_t offset = file.size();
  file += directory;
  return file + "PK\x05\x06" + little_endian(0, 4) + little_endian(entries.size(), 2) +
         little_endian(entries.size(), 2) + little_endian(directory.size(), 4) + little_endian(offset, 4) +
         little_endian(0, 2);
}

std::string archive_with(const std::string& pickle, const std::vector<std::string>& storages) {
  std::vector<RawEntry> entries = {{"archive/data.pkl", pickle}};
  for (std::size_t i = 0; i < storages.size(); ++i) {
    entries.push_back({"archive/data/" + std::to_string(i), storages[i]});
  }
  entries.push_back({"archive/version", "3\n"});
  return zip_of(entries);
}

namespace pickle {

std::string little_endian(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(i < 8 ? (value >> (8 * i)) & 0xFF : 0);
  return out;
}

std::string text(std::string_view value) {
  return "X" + little_endian(value.size(), 4) + std::string(value);
}

std::string integer(std::int64_t value) {
  return "\x8a\x08" + little_endian(static_cast<std::uint64_t>(value), 8);
}

std::string global(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}

std::string tuple(const std::vector<std::string>& items) {
  std::string out = "(";
  for (const std::string& item : items) out += item;
  return out + "t";
}

std::string list(const std::vector<std::string>& items) {
  std::string out = "](";
  for (const std::string& item : items) out += item;
  return out + "e";
}

std::string numbers(const std::vector<std::int64_t>& values) {
  std::vector<std::string> items;
  for (const std::int64_t value : values) items.push_back(integer(value));
  return tuple(items);
}

std::string call(std::string_view module, std::string_view name, const std::vector<std::string>& arguments) {
  return global(module, name) + tuple(arguments) + "R";
}

std::string dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string out = "}(";
  for (const auto& [key, value] : items) out += key + value;
  return out + "u";
}

std::string put(int slot) {
  return "r" + little_endian(static_cast<std::uint64_t>(slot), 4);
}

std::string get(int slot) {
  return "j" + little_endian(static_cast<std::uint64_t>(slot), 4);
}

std::string whole(const std::string& object) {
  return "\x80\x02" + object + ".";
}

std::string tensor(const Tensor& tensor) {
  const std::string storage = tuple({text("storage"), global("torch", tensor.storage_class), text(tensor.key),
                                     text("cpu"), integer(tensor.storage_elements)}) +
                              "Q";
  return call("torch._utils", "_rebuild_tensor_v2",
              {storage, integer(tensor.offset), numbers(tensor.shape), numbers(tensor.strides), "\x89",
               call("collections", "OrderedDict", {})});
}

std::string state_with(const std::string& object) {
  return whole(dict({{text("w"), object}}));
}

}  // namespace pickle
}  // namespace ts::checkpoint
