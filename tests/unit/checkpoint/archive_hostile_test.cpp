// P7: an archive with any byte changed, any length cut off, or built to deceive is read as it was or refused; it never
// gives other values, and never crashes its reader.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iostream>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "common/checkpoint/archive_reader.h"
#include "common/checkpoint/archive_writer.h"
#include "tests/unit/checkpoint/archive_builder.h"
#include "tests/unit/checkpoint/full_state.h"
#include "tests/unit/checkpoint/support.h"

namespace ts::checkpoint {
namespace {

std::string refusal_of(const std::string& file, CrcCheck check = CrcCheck::verify) {
  const auto archive = read_archive(bytes_of(file), "f.pt", check);
  if (archive) return "";
  EXPECT_EQ(archive.error().kind, ErrorKind::checkpoint);
  return archive.error().message;
}

std::string honest_pickle() {
  return pickle::state_with(pickle::tensor({}));
}

const std::string kFourFloats(16, '\x01');

// Reads whatever can be read, so that the sanitizers see every byte that a reader would touch.
std::size_t sum_of(const Dict& dict) {
  std::size_t sum = 0;
  for (const auto& [name, value] : dict.items()) {
    if (const auto* tensor = std::get_if<TensorView>(&value)) {
      for (const std::byte byte : tensor->bytes) sum += std::to_integer<std::size_t>(byte);
    } else {
      sum += sum_of(*std::get<std::shared_ptr<const Dict>>(value));
    }
  }
  return sum;
}

TEST(AnArchive, P7_WithAnyBitFlippedIsRefusedOrReadAsItWas) {
  const std::vector<std::byte> right = small_archive(7);
  const auto original = read_archive(right, "f.pt", CrcCheck::verify);
  ASSERT_TRUE(original);
  std::size_t refused = 0;
  for (std::size_t at = 0; at < right.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::vector<std::byte> file = right;
      file[at] ^= static_cast<std::byte>(1 << bit);
      const auto archive = read_archive(file, "f.pt", CrcCheck::verify);
      if (!archive) {
        ++refused;
      } else {
        EXPECT_EQ(difference(archive->root, original->root), "") << "byte " << at << " bit " << bit;
      }
    }
  }
  EXPECT_GT(refused, right.size()) << "most bytes mean something";
}

TEST(AnArchive, P7_CutShortAtAnyLengthIsRefused) {
  const std::string right = text_of(small_archive(7));
  for (std::size_t length = 0; length < right.size(); ++length) {
    EXPECT_NE(refusal_of(right.substr(0, length)), "") << length;
    EXPECT_NE(refusal_of(right.substr(0, length), CrcCheck::already_digested), "") << length;
  }
}

TEST(AnArchive, P7_WithItsTailZeroedIsRefusedOrReadAsItWas) {
  const std::vector<std::byte> right = small_archive(7);
  const auto original = read_archive(right, "f.pt", CrcCheck::verify);
  ASSERT_TRUE(original);
  constexpr std::size_t kUnusedBytes = 18;  // the fields of the last record, for which the zip64 ones stand
  for (std::size_t length = 0; length < right.size(); ++length) {
    std::vector<std::byte> file = right;
    std::fill(file.begin() + static_cast<std::ptrdiff_t>(length), file.end(), std::byte{0});
    const auto archive = read_archive(file, "f.pt", CrcCheck::verify);
    if (length + kUnusedBytes < right.size()) {
      EXPECT_FALSE(archive) << length;
    } else if (archive) {
      EXPECT_EQ(difference(archive->root, original->root), "") << length;
    }
  }
}

TEST(AnArchive, P7_WithRandomDamageNeverCrashesItsReader) {
  constexpr std::uint64_t kSeed = 31415926;
  std::cout << "seed " << kSeed << "\n";
  std::mt19937_64 random(kSeed);
  const std::string ours = text_of(small_archive(7));
  const std::string theirs = archive_with(honest_pickle(), {kFourFloats});
  std::size_t sum = 0;
  for (int round = 0; round < 40'000; ++round) {
    std::string file = round % 2 == 0 ? ours : theirs;
    for (std::uint64_t changes = 1 + random() % 8; changes > 0; --changes) {
      const std::size_t at = random() % file.size();
      switch (random() % 5) {
        case 0: file[at] = static_cast<char>(random()); break;
        case 1: file[at] = random() % 2 == 0 ? '\xff' : '\0'; break;
        case 2: file.erase(at, random() % 16); break;
        case 3: file.insert(at, std::string(random() % 16, static_cast<char>(random()))); break;
        default: file.replace(at, std::min<std::size_t>(8, file.size() - at), file.substr(random() % file.size(), 8));
      }
      if (file.empty()) file = "x";
    }
    const auto check = random() % 2 == 0 ? CrcCheck::verify : CrcCheck::already_digested;
    const auto archive = read_archive(bytes_of(file), "f.pt", check);
    if (archive) sum += sum_of(archive->root);
  }
  EXPECT_GT(sum, 0U) << "not one archive was read";
}

// The pickle is what an attacker forges; the CRC around it is right.
TEST(APickle, P7_WithRandomDamageNeverCrashesItsReader) {
  constexpr std::uint64_t kSeed = 27182818;
  std::cout << "seed " << kSeed << "\n";
  std::mt19937_64 random(kSeed);
  using namespace pickle;
  const std::string right = whole(dict({{text("w"), tensor({})},
                                        {text("l"), list({integer(1), numbers({1, 2})})},
                                        {text("d"), dict({{integer(3), "\x88" + put(1)}, {text("x"), get(1)}})}}));
  std::size_t read = 0;
  for (int round = 0; round < 40'000; ++round) {
    std::string changed = right;
    for (std::uint64_t changes = random() % 5; changes > 0; --changes) {
      const std::size_t at = random() % changed.size();
      if (random() % 2 == 0) {
        changed[at] = static_cast<char>(random());
      } else {
        static constexpr std::string_view kOpcodes = "(.NKMJX}]tuseabRQcqhjr)G\x80\x85\x86\x87\x88\x89\x8a";
        changed[at] = kOpcodes[random() % kOpcodes.size()];
      }
    }
    const std::string file = archive_with(changed, {kFourFloats});
    const auto archive = read_archive(bytes_of(file), "f.pt", CrcCheck::verify);
    if (archive) {
      ++read;
      sum_of(archive->root);
    }
  }
  EXPECT_GT(read, 1000U) << "hardly one pickle was read";
}

TEST(AnArchive, WhoseEntriesOverlapIsRefused) {
  const std::string inner = pickle::state_with(pickle::tensor({}));
  std::vector<RawEntry> entries = {{"archive/data.pkl", inner}, {"archive/data/0", kFourFloats}};
  ASSERT_EQ(refusal_of(zip_of(entries)), "");
  entries.push_back({"archive/twin", kFourFloats});
  entries.back().header_offset = static_cast<std::uint32_t>(30 + entries[0].name.size() + inner.size());
  EXPECT_TRUE(contains(refusal_of(zip_of(entries)), "overlap"));
}

TEST(AnArchive, ThatNamesAnEntryTwiceIsRefused) {
  EXPECT_TRUE(contains(
      refusal_of(
          zip_of({{"a/data.pkl", honest_pickle()}, {"a/data/0", kFourFloats}, {"a/data/0", std::string(16, '\x02')}})),
      "\"a/data/0\" appears twice"));
}

TEST(AnArchive, WithACompressedOrEncryptedEntryIsRefused) {
  for (const std::uint16_t method : std::initializer_list<std::uint16_t>{8, 9, 12, 14, 95}) {
    std::vector<RawEntry> entries = {{"a/data.pkl", honest_pickle()}, {"a/data/0", kFourFloats}};
    entries[1].method = method;
    EXPECT_TRUE(contains(refusal_of(zip_of(entries)), "\"a/data/0\" is compressed; only stored entries are read"));
  }
  std::vector<RawEntry> entries = {{"a/data.pkl", honest_pickle()}, {"a/data/0", kFourFloats}};
  entries[1].flags = 1;
  EXPECT_TRUE(contains(refusal_of(zip_of(entries)), "is encrypted"));
}

TEST(AnArchive, WhoseDirectoryPointsOutsideIsRefused) {
  for (const std::uint32_t bytes : {17U, 10'000U, 0x7FFFFFFFU, 0xFFFFFFFEU, 0xFFFFFFFFU}) {
    std::vector<RawEntry> entries = {{"a/data.pkl", honest_pickle()}, {"a/data/0", kFourFloats}};
    entries[1].bytes = bytes;
    EXPECT_NE(refusal_of(zip_of(entries)), "") << bytes;
    EXPECT_NE(refusal_of(zip_of(entries), CrcCheck::already_digested), "") << bytes;
  }
  for (const std::uint32_t offset : {1U, 10'000U, 0x7FFFFFFFU, 0xFFFFFFFEU, 0xFFFFFFFFU}) {
    std::vector<RawEntry> entries = {{"a/data.pkl", honest_pickle()}, {"a/data/0", kFourFloats}};
    entries[1].header_offset = offset;
    EXPECT_NE(refusal_of(zip_of(entries)), "") << offset;
  }
}

TEST(AnArchive, WhoseZip64OffsetsOverflowIsRefused) {
  const std::string right = text_of(small_archive(7));
  const std::size_t end64 = right.size() - 22 - 20 - 56;
  const std::size_t locator = right.size() - 22 - 20;
  for (const std::uint64_t value :
       {~std::uint64_t{0}, ~std::uint64_t{0} - 45, std::uint64_t{1} << 63, right.size() + 0, std::uint64_t{1} << 32}) {
    for (const std::size_t at : {end64 + 24, end64 + 32, end64 + 40, end64 + 48, locator + 8}) {
      std::string file = right;
      file.replace(at, 8, pickle::little_endian(value, 8));
      const auto archive = read_archive(bytes_of(file), "f.pt", CrcCheck::verify);
      if (at != end64 + 24) {  // entries on this disk: nobody needs it
        EXPECT_FALSE(archive) << at - end64 << " " << value;
      }
    }
    // The offsets in the zip64 extra fields of the directory: the last 8 bytes of every record.
    for (std::size_t at = right.find("PK\x01\x02"); at != std::string::npos; at = right.find("PK\x01\x02", at + 1)) {
      const std::size_t name_bytes = static_cast<unsigned char>(right[at + 28]);
      for (const std::size_t field : {4U, 12U, 20U}) {
        std::string file = right;
        file.replace(at + 46 + name_bytes + field, 8, pickle::little_endian(value, 8));
        EXPECT_NE(refusal_of(file), "") << field << " " << value;
      }
    }
  }
}

TEST(AnArchive, WithAWrongCrcIsRefusedByNameUnlessItsDigestWasCompared) {
  std::vector<RawEntry> entries = {{"a/data.pkl", honest_pickle()}, {"a/data/0", kFourFloats}};
  entries[1].crc = 12345;
  EXPECT_TRUE(contains(refusal_of(zip_of(entries)), "\"a/data/0\" does not match its CRC-32"));
  EXPECT_EQ(refusal_of(zip_of(entries), CrcCheck::already_digested), "");
}

TEST(AnArchive, OfABigEndianMachineOrWithoutAPickleIsRefused) {
  EXPECT_TRUE(
      contains(refusal_of(zip_of({{"a/data.pkl", honest_pickle()}, {"a/byteorder", "big"}, {"a/data/0", kFourFloats}})),
               "big-endian"));
  EXPECT_TRUE(contains(refusal_of(zip_of({{"a/other", "x"}})), "no entry \"data.pkl\""));
  EXPECT_TRUE(contains(refusal_of(zip_of({{"a/x", ""}, {"b/data.pkl", honest_pickle()}})), "no entry \"data.pkl\""));
  EXPECT_TRUE(contains(refusal_of(zip_of({})), "no entry \"data.pkl\""));
}

TEST(AFile, ThatIsNoArchiveIsRefused) {
  for (const std::string& file :
       {std::string(), std::string("x"), std::string(100'000, '\0'), std::string("PK\x05\x06"),
        std::string("\x80\x02}."), std::string("PK\x03\x04"), "PK\x05\x06" + std::string(18, '\xff')}) {
    EXPECT_NE(refusal_of(file), "") << file.substr(0, 20);
  }
}

TEST(ARefusal, ShowsNoTerminalEscapes) {
  const std::string file = zip_of({{"a\x1b[2J/data.pkl", "x"}, {"a\x1b[2J/data.pkl", "x"}});
  const auto archive = read_archive(bytes_of(file), "f\x1b[2J.pt", CrcCheck::verify);
  ASSERT_FALSE(archive);
  EXPECT_EQ(archive.error().message.find('\x1b'), std::string::npos) << archive.error().message;
}

}  // namespace
}  // namespace ts::checkpoint
