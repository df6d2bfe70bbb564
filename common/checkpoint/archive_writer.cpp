#include "common/checkpoint/archive_writer.h"

#include <libdeflate.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "common/checkpoint/pickle_writer.h"
#include "common/checkpoint/zip_format.h"

namespace ts::checkpoint {
namespace {

constexpr std::string_view kFolder = "archive/";
constexpr std::size_t kLocalZip64Bytes = 4 + 16;    // both sizes
constexpr std::size_t kCentralZip64Bytes = 4 + 24;  // both sizes and the offset
constexpr std::size_t kPaddingHeaderBytes = 4;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::uint32_t crc_of(std::span<const std::byte> data) {
  return libdeflate_crc32(0, data.data(), data.size());
}

Dict structure_of(const Dict& state) {
  Dict structure;
  for (const auto& [name, value] : state.items()) {
    if (const auto* dict = std::get_if<std::shared_ptr<const Dict>>(&value)) {
      structure.add(name, structure_of(**dict));
    } else {
      const auto& tensor = std::get<TensorView>(value);
      structure.add(name, TensorView{tensor.dtype, tensor.shape, {}});
    }
  }
  return structure;
}

bool same_structure(const Dict& a, const Dict& b) {
  return std::ranges::equal(a.items(), b.items(), [](const auto& one, const auto& other) {
    if (one.first != other.first || one.second.index() != other.second.index()) return false;
    if (const auto* tensor = std::get_if<TensorView>(&one.second)) {
      const auto& with = std::get<TensorView>(other.second);
      return tensor->dtype == with.dtype && tensor->shape == with.shape;
    }
    return same_structure(*std::get<std::shared_ptr<const Dict>>(one.second),
                          *std::get<std::shared_ptr<const Dict>>(other.second));
  });
}

}  // namespace

void ArchiveLayout::add_entry(std::string name, std::size_t data_bytes, std::string fixed_content) {
  Entry entry;
  entry.name = std::string(kFolder) + std::move(name);
  entry.header_offset = directory_offset_;
  const std::size_t unpadded =
      entry.header_offset + zip::kLocalHeaderBytes + entry.name.size() + kLocalZip64Bytes + kPaddingHeaderBytes;
  entry.padding = (zip::kAlignment - unpadded % zip::kAlignment) % zip::kAlignment;
  entry.data_offset = unpadded + entry.padding;
  entry.data_bytes = data_bytes;
  entry.fixed_content = std::move(fixed_content);
  directory_offset_ = entry.data_offset + data_bytes;
  directory_bytes_ += zip::kCentralHeaderBytes + entry.name.size() + kCentralZip64Bytes;
  entries_.push_back(std::move(entry));
}

ArchiveLayout ArchiveLayout::plan(const Dict& state) {
  ArchiveLayout layout;
  layout.structure_ = structure_of(state);
  const auto add_fixed = [&](std::string name, std::string content) {
    const std::size_t size = content.size();
    layout.add_entry(std::move(name), size, std::move(content));
  };
  // The reader takes the folder's name from the first entry, so data.pkl comes first, as torch.save writes it.
  add_fixed("data.pkl", pickle_state(state));
  add_fixed(".format_version", "1");
  add_fixed(".storage_alignment", std::to_string(zip::kAlignment));
  add_fixed("byteorder", "little");
  layout.first_tensor_ = layout.entries_.size();
  visit_tensors(state, [&](const TensorView& tensor) {
    layout.add_entry("data/" + std::to_string(layout.tensor_count_++), tensor.bytes.size(), {});
  });
  add_fixed("version", "3\n");
  layout.file_bytes_ =
      layout.directory_offset_ + layout.directory_bytes_ + zip::kEnd64Bytes + zip::kEnd64LocatorBytes + zip::kEndBytes;
  return layout;
}

bool ArchiveLayout::fits(const Dict& state) const {
  return same_structure(state, structure_);
}

void ArchiveLayout::copy_tensors(const Dict& state, std::span<std::byte> file) const {
  std::size_t index = first_tensor_;
  visit_tensors(state, [&](const TensorView& tensor) {
    const Entry& entry = entries_[index++];
    if (!tensor.bytes.empty()) {
      std::memcpy(file.subspan(entry.data_offset, entry.data_bytes).data(), tensor.bytes.data(), tensor.bytes.size());
    }
  });
}

void ArchiveLayout::write_local_header(const Entry& entry, std::uint32_t crc, std::span<std::byte> file) const {
  zip::FieldWriter(file.subspan(entry.header_offset, entry.data_offset - entry.header_offset))
      .u32(zip::kLocalHeader)
      .u16(zip::kVersionZip64)
      .u16(zip::kFlagUtf8)
      .u16(zip::kMethodStored)
      .u16(zip::kDosTime)
      .u16(zip::kDosDate)
      .u32(crc)
      .u32(zip::kInZip64)
      .u32(zip::kInZip64)
      .u16(entry.name.size())
      .u16(kLocalZip64Bytes + kPaddingHeaderBytes + entry.padding)
      .bytes(bytes_of(entry.name))
      .u16(zip::kExtraZip64)
      .u16(kLocalZip64Bytes - 4)
      .u64(entry.data_bytes)
      .u64(entry.data_bytes)
      .u16(zip::kExtraPadding)
      .u16(entry.padding)
      .fill('Z', entry.padding);
}

void ArchiveLayout::write_central_directory(std::span<const std::uint32_t> crcs, std::span<std::byte> file) const {
  zip::FieldWriter out(file.subspan(directory_offset_));
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    out.u32(zip::kCentralHeader)
        .u16(zip::kVersionZip64)
        .u16(zip::kVersionZip64)
        .u16(zip::kFlagUtf8)
        .u16(zip::kMethodStored)
        .u16(zip::kDosTime)
        .u16(zip::kDosDate)
        .u32(crcs[i])
        .u32(zip::kInZip64)
        .u32(zip::kInZip64)
        .u16(entry.name.size())
        .u16(kCentralZip64Bytes)
        .u16(0)  // comment
        .u16(0)  // disk
        .u16(0)  // internal attributes
        .u32(0)  // external attributes
        .u32(zip::kInZip64)
        .bytes(bytes_of(entry.name))
        .u16(zip::kExtraZip64)
        .u16(kCentralZip64Bytes - 4)
        .u64(entry.data_bytes)
        .u64(entry.data_bytes)
        .u64(entry.header_offset);
  }
  out.u32(zip::kEnd64)
      .u64(zip::kEnd64Bytes - 12)
      .u16(zip::kVersionZip64)
      .u16(zip::kVersionZip64)
      .u32(0)
      .u32(0)
      .u64(entries_.size())
      .u64(entries_.size())
      .u64(directory_bytes_)
      .u64(directory_offset_);
  out.u32(zip::kEnd64Locator).u32(0).u64(directory_offset_ + directory_bytes_).u32(1);
  out.u32(zip::kEnd)
      .u16(0)
      .u16(0)
      .u16(zip::kInZip64Short)
      .u16(zip::kInZip64Short)
      .u32(zip::kInZip64)
      .u32(zip::kInZip64)
      .u16(0);
}

std::vector<std::uint32_t> ArchiveLayout::seal(std::span<std::byte> file) const {
  std::vector<std::uint32_t> crcs;
  crcs.reserve(entries_.size());
  for (const Entry& entry : entries_) {
    const std::span<std::byte> data = file.subspan(entry.data_offset, entry.data_bytes);
    if (!entry.fixed_content.empty()) std::memcpy(data.data(), entry.fixed_content.data(), data.size());
    crcs.push_back(crc_of(data));
    write_local_header(entry, crcs.back(), file);
  }
  write_central_directory(crcs, file);
  const auto first = crcs.begin() + static_cast<std::ptrdiff_t>(first_tensor_);
  return {first, first + static_cast<std::ptrdiff_t>(tensor_count_)};
}

std::vector<std::byte> write_archive(const Dict& state) {
  const ArchiveLayout layout = ArchiveLayout::plan(state);
  std::vector<std::byte> file(layout.file_bytes());
  layout.copy_tensors(state, file);
  layout.seal(file);
  return file;
}

}  // namespace ts::checkpoint
