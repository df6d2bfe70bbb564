// The bytes of a zip archive that writer and reader agree on. Internal to common/checkpoint.
//
// Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 (records) and 4.5.3 (zip64 extra field). The "FB" padding field is
// PyTorch's own (caffe2/serialize/inline_container.cc): its only meaning is to move an entry's data to a multiple
// of 64.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace ts::checkpoint::zip {

inline constexpr std::uint32_t kLocalHeader = 0x04034b50;
inline constexpr std::uint32_t kCentralHeader = 0x02014b50;
inline constexpr std::uint32_t kEnd64 = 0x06064b50;
inline constexpr std::uint32_t kEnd64Locator = 0x07064b50;
inline constexpr std::uint32_t kEnd = 0x06054b50;

inline constexpr std::size_t kLocalHeaderBytes = 30;
inline constexpr std::size_t kCentralHeaderBytes = 46;
inline constexpr std::size_t kEnd64Bytes = 56;
inline constexpr std::size_t kEnd64LocatorBytes = 20;
inline constexpr std::size_t kEndBytes = 22;
inline constexpr std::size_t kCommentBytesMax = 65535;

inline constexpr std::uint16_t kVersionZip64 = 45;
inline constexpr std::uint16_t kFlagUtf8 = 0x0800;
inline constexpr std::uint16_t kFlagEncrypted = 0x0001;
inline constexpr std::uint16_t kMethodStored = 0;
// 1980-01-01 00:00, the epoch of the format: equal states must have equal bytes, so no real time may appear.
inline constexpr std::uint16_t kDosTime = 0;
inline constexpr std::uint16_t kDosDate = 0x0021;
inline constexpr std::uint16_t kExtraZip64 = 0x0001;
inline constexpr std::uint16_t kExtraPadding = 0x4246;  // "FB"
inline constexpr std::uint32_t kInZip64 = 0xFFFFFFFF;
inline constexpr std::uint16_t kInZip64Short = 0xFFFF;
inline constexpr std::size_t kAlignment = 64;

// Little-endian fields, appended one after the other into memory that the caller has sized.
class FieldWriter {
 public:
  explicit FieldWriter(std::span<std::byte> out) : out_(out) {}

  FieldWriter& u16(std::uint64_t value) { return put(value, 2); }
  FieldWriter& u32(std::uint64_t value) { return put(value, 4); }
  FieldWriter& u64(std::uint64_t value) { return put(value, 8); }
  FieldWriter& bytes(std::span<const std::byte> data) {
    if (!data.empty()) std::memcpy(out_.data() + at_, data.data(), data.size());
    at_ += data.size();
    return *this;
  }
  FieldWriter& fill(char c, std::size_t count) {
    std::memset(out_.data() + at_, c, count);
    at_ += count;
    return *this;
  }

 private:
  FieldWriter& put(std::uint64_t value, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) out_[at_ + i] = static_cast<std::byte>((value >> (8 * i)) & 0xFF);
    at_ += count;
    return *this;
  }

  std::span<std::byte> out_;
  std::size_t at_ = 0;
};

// A little-endian field of `count` bytes at `at`; the caller has checked the bounds.
inline std::uint64_t field(std::span<const std::byte> in, std::size_t at, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value |= std::to_integer<std::uint64_t>(in[at + i]) << (8 * i);
  return value;
}

}  // namespace ts::checkpoint::zip
