#include "common/checkpoint/zip_reader.h"

#include <libdeflate.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "common/base/text.h"
#include "common/checkpoint/zip_format.h"

namespace ts::checkpoint {
namespace {

using Bytes = std::span<const std::byte>;

Error refuse(std::string why) {
  return make_error(ErrorKind::checkpoint, std::move(why));
}

// [offset, offset + count) lies within `size`, without overflow.
bool within(std::uint64_t offset, std::uint64_t count, std::uint64_t size) {
  return offset <= size && count <= size - offset;
}

struct DirectoryPlace {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::uint64_t entries = 0;
};

std::optional<std::size_t> find_end_record(Bytes file) {
  if (file.size() < zip::kEndBytes) return std::nullopt;
  const std::size_t last = file.size() - zip::kEndBytes;
  const std::size_t first = last - std::min(last, zip::kCommentBytesMax);
  for (std::size_t at = last + 1; at-- > first;) {
    if (zip::field(file, at, 4) == zip::kEnd) return at;
  }
  return std::nullopt;
}

Result<DirectoryPlace> find_directory(Bytes file) {
  const auto end = find_end_record(file);
  if (!end) return refuse("it does not end in a zip directory, so it is cut short or no .pt archive");
  DirectoryPlace place{zip::field(file, *end + 16, 4), zip::field(file, *end + 12, 4), zip::field(file, *end + 10, 2)};
  if (*end >= zip::kEnd64LocatorBytes && zip::field(file, *end - zip::kEnd64LocatorBytes, 4) == zip::kEnd64Locator) {
    const std::uint64_t end64 = zip::field(file, *end - zip::kEnd64LocatorBytes + 8, 8);
    if (!within(end64, zip::kEnd64Bytes, file.size()) || zip::field(file, end64, 4) != zip::kEnd64) {
      return refuse("its zip64 end record is not where the locator says");
    }
    place = {zip::field(file, end64 + 48, 8), zip::field(file, end64 + 40, 8), zip::field(file, end64 + 32, 8)};
  }
  if (!within(place.offset, place.bytes, *end)) return refuse("its directory lies outside the file");
  if (place.entries > place.bytes / zip::kCentralHeaderBytes) return refuse("its directory is too short for its count");
  return place;
}

struct CentralHeader {
  std::string name;
  std::uint64_t stored_bytes = 0;
  std::uint64_t plain_bytes = 0;
  std::uint64_t header_offset = 0;
  std::uint32_t crc = 0;
};

// A 32-bit field of all ones means: the next value of the zip64 extra field.
Result<> apply_zip64(Bytes extra, CentralHeader& header) {
  while (extra.size() >= 4) {
    const std::uint64_t id = zip::field(extra, 0, 2);
    const std::uint64_t size = zip::field(extra, 2, 2);
    if (size > extra.size() - 4) return refuse("an extra field runs past its header");
    if (id == zip::kExtraZip64) {
      std::uint64_t at = 0;
      for (std::uint64_t* value : {&header.plain_bytes, &header.stored_bytes, &header.header_offset}) {
        if (*value != zip::kInZip64) continue;
        if (at + 8 > size) return refuse("a zip64 extra field is too short");
        *value = zip::field(extra, 4 + at, 8);
        at += 8;
      }
      return {};
    }
    extra = extra.subspan(4 + size);
  }
  return {};
}

Result<CentralHeader> read_central_header(Bytes directory, std::size_t& at) {
  if (!within(at, zip::kCentralHeaderBytes, directory.size()) || zip::field(directory, at, 4) != zip::kCentralHeader) {
    return refuse("its directory is damaged");
  }
  const std::uint64_t flags = zip::field(directory, at + 8, 2);
  const std::uint64_t method = zip::field(directory, at + 10, 2);
  const std::size_t name_bytes = zip::field(directory, at + 28, 2);
  const std::size_t extra_bytes = zip::field(directory, at + 30, 2);
  const std::size_t comment_bytes = zip::field(directory, at + 32, 2);
  if (!within(at + zip::kCentralHeaderBytes, name_bytes + extra_bytes + comment_bytes, directory.size())) {
    return refuse("its directory is cut short");
  }
  CentralHeader header;
  const Bytes name = directory.subspan(at + zip::kCentralHeaderBytes, name_bytes);
  header.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
  header.crc = static_cast<std::uint32_t>(zip::field(directory, at + 16, 4));
  header.stored_bytes = zip::field(directory, at + 20, 4);
  header.plain_bytes = zip::field(directory, at + 24, 4);
  header.header_offset = zip::field(directory, at + 42, 4);
  const std::string quoted = "entry \"" + escape_control(header.name) + "\"";
  if ((flags & zip::kFlagEncrypted) != 0) return refuse(quoted + " is encrypted");
  if (method != zip::kMethodStored) return refuse(quoted + " is compressed; only stored entries are read");
  const auto zip64 = apply_zip64(directory.subspan(at + zip::kCentralHeaderBytes + name_bytes, extra_bytes), header);
  if (!zip64) return zip64.error();
  if (header.stored_bytes != header.plain_bytes) return refuse(quoted + " has two different sizes");
  at += zip::kCentralHeaderBytes + name_bytes + extra_bytes + comment_bytes;
  return header;
}

// The entry's data: the local header says how far behind it the data begins, the directory says how much there is.
Result<Bytes> entry_data(Bytes file, const CentralHeader& header, std::uint64_t directory_offset) {
  const std::string quoted = "entry \"" + escape_control(header.name) + "\"";
  if (!within(header.header_offset, zip::kLocalHeaderBytes, directory_offset) ||
      zip::field(file, header.header_offset, 4) != zip::kLocalHeader) {
    return refuse(quoted + " has no header where the directory says");
  }
  const std::uint64_t name_bytes = zip::field(file, header.header_offset + 26, 2);
  const std::uint64_t extra_bytes = zip::field(file, header.header_offset + 28, 2);
  const std::uint64_t data = header.header_offset + zip::kLocalHeaderBytes + name_bytes + extra_bytes;
  if (!within(data, header.plain_bytes, directory_offset)) return refuse(quoted + " runs past the end of the file");
  return file.subspan(data, header.plain_bytes);
}

Result<> refuse_overlaps(std::vector<std::pair<std::uint64_t, std::uint64_t>> extents) {
  std::sort(extents.begin(), extents.end());
  for (std::size_t i = 1; i < extents.size(); ++i) {
    if (extents[i].first < extents[i - 1].second) return refuse("two of its entries overlap");
  }
  return {};
}

}  // namespace

Result<ZipDirectory> read_zip_directory(Bytes file) {
  const auto place = find_directory(file);
  if (!place) return place.error();
  const Bytes records = file.subspan(place->offset, place->bytes);
  ZipDirectory directory;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> extents;
  std::size_t at = 0;
  for (std::uint64_t i = 0; i < place->entries; ++i) {
    const auto header = read_central_header(records, at);
    if (!header) return header.error();
    const auto data = entry_data(file, *header, place->offset);
    if (!data) return data.error();
    extents.emplace_back(header->header_offset, static_cast<std::uint64_t>(data->data() + data->size() - file.data()));
    if (i == 0) directory.folder = header->name.substr(0, header->name.find('/') + 1);
    if (!directory.entries.emplace(header->name, ZipEntry{*data, header->crc}).second) {
      return refuse("entry \"" + escape_control(header->name) + "\" appears twice");
    }
  }
  const auto apart = refuse_overlaps(std::move(extents));
  if (!apart) return apart.error();
  return directory;
}

Result<> check_crcs(const ZipDirectory& directory) {
  for (const auto& [name, entry] : directory.entries) {
    if (libdeflate_crc32(0, entry.data.data(), entry.data.size()) != entry.crc) {
      return refuse("entry \"" + escape_control(name) + "\" does not match its CRC-32, so its bytes are damaged");
    }
  }
  return {};
}

}  // namespace ts::checkpoint
