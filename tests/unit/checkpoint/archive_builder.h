// Archives and pickles made by hand, byte for byte, as no honest writer would make them.
// Threading: plain values. Errors: none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ts::checkpoint {

struct RawEntry {
  std::string name;
  std::string data;
  std::uint16_t method = 0;
  std::uint16_t flags = 0;
  std::optional<std::uint32_t> crc = {};            // else the right one
  std::optional<std::uint32_t> bytes = {};          // what the directory says, else the right size
  std::optional<std::uint32_t> header_offset = {};  // where the directory points, else the right place
};

std::string zip_of(const std::vector<RawEntry>& entries);

// An archive like torch.save's with this pickle, and the storages data/0, data/1, …
std::string archive_with(const std::string& pickle, const std::vector<std::string>& storages = {});

// Opcodes of pickle protocol 2, as text to be put together.
namespace pickle {

std::string little_endian(std::uint64_t value, int bytes);
std::string text(std::string_view value);
std::string integer(std::int64_t value);  // LONG1 of 8 bytes
std::string global(std::string_view module, std::string_view name);
std::string tuple(const std::vector<std::string>& items);
std::string list(const std::vector<std::string>& items);
std::string numbers(const std::vector<std::int64_t>& values);  // a tuple of them
std::string call(std::string_view module, std::string_view name, const std::vector<std::string>& arguments);
std::string dict(const std::vector<std::pair<std::string, std::string>>& items);  // keys are pickles too
std::string put(int slot);
std::string get(int slot);
std::string whole(const std::string& object);  // PROTO 2 … STOP

struct Tensor {
  std::string storage_class = "FloatStorage";
  std::string key = "0";
  std::int64_t storage_elements = 4;
  std::int64_t offset = 0;
  std::vector<std::int64_t> shape = {4};
  std::vector<std::int64_t> strides = {1};
};
std::string tensor(const Tensor& tensor);

// {"w": object}
std::string state_with(const std::string& object);

}  // namespace pickle
}  // namespace ts::checkpoint
