// What write_archive writes, read_archive reads; and the bytes are what the format promises (docs/FORMATS.md).
#include <array>
#include <cstdint>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/checkpoint/archive_reader.h"
#include "common/checkpoint/archive_writer.h"
#include "common/checkpoint/digest.h"
#include "common/checkpoint/zip_reader.h"
#include "tests/unit/checkpoint/full_state.h"
#include "tests/unit/checkpoint/support.h"

namespace ts::checkpoint {
namespace {

TEST(AnArchive, OfEveryDTypeAndShapeIsReadBackAsItWasWritten) {
  const FullState full;
  const std::vector<std::byte> file = write_archive(full.root());
  for (const CrcCheck check : {CrcCheck::verify, CrcCheck::already_digested}) {
    const auto archive = read_archive(file, "f.pt", check);
    ASSERT_TRUE(archive) << archive.error().message;
    EXPECT_EQ(difference(archive->root, full.root()), "");
  }
}

TEST(AnArchive, OfAnEmptyStateIsReadBack) {
  const auto archive = read_archive(write_archive(Dict()), "f.pt", CrcCheck::verify);
  ASSERT_TRUE(archive) << archive.error().message;
  EXPECT_TRUE(archive->root.items().empty());
}

TEST(AnArchive, IsAFunctionOfTheStateAlone) {
  const FullState one;
  const FullState other;  // the same values elsewhere in memory
  const auto bytes = write_archive(one.root());
  EXPECT_EQ(bytes, write_archive(other.root()));
  EXPECT_EQ(digest_of(bytes), digest_of(write_archive(other.root())));
}

TEST(AnArchive, OfAnotherStateHasAnotherDigest) {
  const std::string right = digest_of(write_archive(FullState().root()));
  EXPECT_NE(digest_of(small_archive(1)), digest_of(small_archive(2)));
  const std::int64_t number = 1;
  Dict named_a;
  named_a.add("a", view_of(number));
  Dict named_b;
  named_b.add("b", view_of(number));
  Dict nested;
  nested.add("d", std::move(named_a));
  EXPECT_NE(digest_of(write_archive(nested)), digest_of(write_archive(named_b)));
  FullState changed;
  changed.bytes_of_number()[0] ^= std::byte{1};
  EXPECT_NE(digest_of(write_archive(changed.root())), right);
}

TEST(AnArchive, HasEveryEntrysDataOnA64ByteBoundary) {
  const auto file = write_archive(FullState().root());
  const auto directory = read_zip_directory(file);
  ASSERT_TRUE(directory);
  EXPECT_GT(directory->entries.size(), 12U);
  for (const auto& [name, entry] : directory->entries) {
    EXPECT_EQ((entry.data.data() - file.data()) % 64, 0) << name;
  }
  EXPECT_TRUE(check_crcs(*directory));
}

TEST(AnArchive, PlannedCopiedAndSealedInStepsIsTheSame) {
  const FullState full;
  const ArchiveLayout layout = ArchiveLayout::plan(full.root());
  std::vector<std::byte> file(layout.file_bytes(), std::byte{0xAB});  // a used buffer
  layout.copy_tensors(full.root(), file);
  layout.seal(file);
  EXPECT_EQ(file, write_archive(full.root()));
  layout.seal(file);
  EXPECT_EQ(file, write_archive(full.root())) << "sealing twice changes nothing";
}

TEST(AnArchive, LayoutFitsStatesOfTheSameStructureOnly) {
  const std::vector<float> three = {1, 2, 3};
  const std::vector<float> other_three = {4, 5, 6};
  const std::vector<float> four = {1, 2, 3, 4};
  const std::vector<double> doubles = {1, 2, 3};
  const auto state = [](const char* name, TensorView tensor) {
    Dict dict;
    dict.add(name, std::move(tensor));
    return dict;
  };
  const ArchiveLayout layout = ArchiveLayout::plan(state("w", view_of(DType::float32, three)));
  EXPECT_TRUE(layout.fits(state("w", view_of(DType::float32, other_three))));
  EXPECT_FALSE(layout.fits(state("v", view_of(DType::float32, three))));
  EXPECT_FALSE(layout.fits(state("w", view_of(DType::float32, four))));
  EXPECT_FALSE(layout.fits(state("w", view_of(DType::float64, doubles))));
  EXPECT_FALSE(layout.fits(Dict()));
}

// The table in the documents, row by row: "| 0x080 | `80 02 7d` | meaning |".
TEST(TheWorkedExample, InTheDocumentsIsWhatIsWritten) {
  const std::vector<float> weight = {1.0F, -2.5F};
  const std::int64_t episode = 7;
  Dict model;
  model.add("weight", view_of(DType::float32, weight));
  Dict state;
  state.add("model", std::move(model));
  state.add("episode", view_of(episode));
  const std::vector<std::byte> file = write_archive(state);

  const std::string document = read_text(std::filesystem::path(TS_SOURCE_DIR) / "docs/FORMATS.md");
  EXPECT_NE(document.find("a file of " + std::to_string(file.size()) + " bytes"), std::string::npos);
  EXPECT_NE(document.find("`" + digest_of(file) + "`"), std::string::npos);
  std::istringstream lines(document);
  int rows = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| 0x")) continue;
    ++rows;
    std::size_t at = std::stoul(line.substr(2), nullptr, 16);
    const std::size_t from = line.find('`') + 1;
    std::istringstream bytes(line.substr(from, line.find('`', from) - from));
    for (std::string byte; bytes >> byte; ++at) {
      ASSERT_LT(at, file.size()) << line;
      ASSERT_EQ(std::to_integer<unsigned long>(file[at]), std::stoul(byte, nullptr, 16)) << line;
    }
  }
  EXPECT_GT(rows, 15);
}

TEST(AState, GivesWhatIsExpectedOrSaysWhatIsThereInstead) {
  const FullState full;
  const Dict& root = full.root();
  const std::array<std::int64_t, 2> shape = {2, 3};
  EXPECT_TRUE(expect_tensor(root, "float32", DType::float32, shape));
  const auto wrong_dtype = expect_tensor(root, "float32", DType::float64, shape, "model.");
  ASSERT_FALSE(wrong_dtype);
  EXPECT_EQ(wrong_dtype.error().message,
            "tensor \"model.float32\" is float32 [2, 3] in the checkpoint, float64 [2, 3] was expected");
  const auto absent = expect_tensor(root, "nowhere", DType::float32, shape, "model.");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().message, "the checkpoint has no tensor \"model.nowhere\" (float32 [2, 3] was expected)");
  EXPECT_FALSE(expect_tensor(root, "float32", DType::float32, std::array<std::int64_t, 2>{3, 2}));
  EXPECT_FALSE(expect_tensor(root, "nested", DType::float32, shape)) << "a dict is no tensor";
  EXPECT_TRUE(expect_dict(root, "nested"));
  EXPECT_FALSE(expect_dict(root, "float32"));
  EXPECT_EQ(*expect_int64(root, "number"), 250);
  EXPECT_FALSE(expect_int64(root, "float32"));
  EXPECT_FALSE(expect_float64(root, "number"));
}

}  // namespace
}  // namespace ts::checkpoint
