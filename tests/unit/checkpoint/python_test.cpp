// The other implementations' opinion: Python's zipfile and torch, and xxhsum. Skipped loudly where they are missing.
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "common/checkpoint/archive_reader.h"
#include "common/checkpoint/archive_writer.h"
#include "common/checkpoint/digest.h"
#include "tests/unit/checkpoint/full_state.h"
#include "tests/unit/checkpoint/support.h"

namespace ts::checkpoint {
namespace {

struct Ran {
  int status = -1;
  std::string output;
};

Ran run(const std::string& command) {
  Ran ran;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return ran;
  std::array<char, 4096> buffer{};
  for (std::size_t count = 0; (count = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    ran.output.append(buffer.data(), count);
  }
  const int status = ::pclose(pipe);
  ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return ran;
}

constexpr const char* kPython = "/usr/bin/python3 -B";

// One line for each tensor: name, dtype, shape, elements as hexadecimal digits.
void describe_all(const Dict& dict, const std::string& path, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  for (const auto& [name, value] : dict.items()) {
    const auto* tensor = std::get_if<TensorView>(&value);
    if (tensor == nullptr) {
      out += path + name + " dict\n";
      describe_all(*std::get<std::shared_ptr<const Dict>>(value), path + name + ".", out);
      continue;
    }
    out += path + name + " torch." + std::string(dtype_name(tensor->dtype)) + " [";
    for (std::size_t i = 0; i < tensor->shape.size(); ++i) {
      out += (i == 0 ? "" : ", ") + std::to_string(tensor->shape[i]);
    }
    out += "] ";
    for (const std::byte byte : tensor->bytes) {
      out += kHex[std::to_integer<unsigned>(byte) >> 4];
      out += kHex[std::to_integer<unsigned>(byte) & 0xF];
    }
    out += "\n";
  }
}

constexpr std::string_view kReader = R"(
import ctypes, inspect, sys, torch

def describe(value, path):
    for name, item in value.items():
        if type(item) is dict:
            print(path + name, "dict")
            describe(item, path + name + ".")
        else:
            count = item.numel() * item.element_size()
            elements = ctypes.string_at(item.data_ptr(), count).hex() if count else ""
            print(path + name, item.dtype, list(item.shape), elements)

ways = [{}]
if "mmap" in inspect.signature(torch.load).parameters:
    ways.append({"mmap": True})
for way in ways:
    state = torch.load(sys.argv[1], weights_only=True, **way)
    assert type(state) is dict, type(state)
    describe(state, "")
    print("end")
)";

constexpr std::string_view kWriter = R"(
import collections, os, sys, torch

os.chdir(sys.argv[1])
torch.manual_seed(1)
model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
torch.save(model.state_dict(), "state_dict.pt")
torch.save({"only": torch.arange(4.0)}, "one_key.pt")
torch.save({"p": torch.nn.Parameter(torch.arange(3.0)), "b": torch.nn.parameter.Buffer(torch.ones(1))
            if hasattr(torch.nn.parameter, "Buffer") else torch.ones(1)}, "parameter.pt")
optimizer = torch.optim.Adam(model.parameters(), lr=5e-5)
model(torch.ones(4, 3)).sum().backward()
optimizer.step()
torch.save(optimizer.state_dict(), "optimizer.pt")
torch.save({1: True, "f": 0.25, "n": None, "s": "text", "i": -7, "big": 2 ** 40, "no": False,
            "l": [1, [2.5]], "t": (torch.Size([2, 3]), 4), "shared": model[0].weight}, "values.pt")
torch.save({"v": torch.arange(6.0).reshape(2, 3).t()}, "view.pt")
torch.save({"whole": torch.arange(6.0)[2:5]}, "slice.pt")
torch.save({"scalar": torch.tensor(3, dtype=torch.int16), "empty": torch.empty(0, 4)}, "shapes.pt")

class Evil:
    def __reduce__(self):
        return (os.system, ("touch executed",))

torch.save({"w": torch.ones(1), "evil": Evil()}, "evil.pt")
torch.save({"w": eval}, "eval.pt")
torch.save({"w": collections.Counter("ab")}, "counter.pt")
torch.save(model, "module.pt")
torch.save([torch.ones(1)], "list.pt")
torch.save({"w": torch.ones(1)}, "legacy.pt", _use_new_zipfile_serialization=False)
try:
    import numpy
    torch.save({"w": numpy.ones(3)}, "numpy.pt")
except ImportError:
    pass
)";

class Torch : public testing::Test {
 protected:
  // Tried once: importing torch takes a second or two.
  static bool available() {
    static const bool found = run(std::string(kPython) + " -c 'import torch'").status == 0;
    return found;
  }
  void SetUp() override {
    if (!available()) GTEST_SKIP() << "SKIPPED: /usr/bin/python3 has no torch (package python3-torch)";
  }
  Ran python(std::string_view script, const std::string& argument) const {
    const auto file = temporary_.path() / "script.py";
    write_text(file, script);
    return run(std::string(kPython) + " " + file.string() + " " + argument);
  }
  std::string path(const std::string& name) const { return (temporary_.path() / name).string(); }

  // What our reader makes of a file.
  Result<Archive> read(const std::string& name) {
    kept_ = read_text(path(name));
    return read_archive(bytes_of(kept_), name, CrcCheck::verify);
  }
  std::string text(const std::string& name) {
    const auto archive = read(name);
    if (!archive) return archive.error().message;
    std::string out;
    describe_all(archive->root, "", out);
    return out;
  }

  TemporaryDirectory temporary_;
  std::string kept_;
};

TEST_F(Torch, LoadsOurArchivesAsAPlainDictWithEqualValues) {
  const FullState full;
  write_text(path("ours.pt"), text_of(write_archive(full.root())));
  const Ran ran = python(kReader, path("ours.pt"));
  ASSERT_EQ(ran.status, 0) << ran.output;
  std::string expected;
  describe_all(full.root(), "", expected);
  expected += "end\n";
  EXPECT_TRUE(ran.output == expected || ran.output == expected + expected) << ran.output << "\nexpected\n" << expected;
}

TEST_F(Torch, WritesFilesThatWeRead) {
  const Ran ran = python(kWriter, temporary_.path().string());
  ASSERT_EQ(ran.status, 0) << ran.output;

  const std::string state_dict = text("state_dict.pt");
  for (const char* line : {"0.weight torch.float32 [2, 3] ", "0.bias torch.float32 [2] ",
                           "1.num_batches_tracked torch.int64 [] 0000000000000000\n"}) {
    EXPECT_TRUE(contains(state_dict, line)) << line << "\n" << state_dict;
  }
  EXPECT_FALSE(contains(state_dict, "_metadata"));
  EXPECT_EQ(text("one_key.pt"), "only torch.float32 [4] 000000000000803f0000004000004040\n");
  EXPECT_TRUE(contains(text("parameter.pt"), "p torch.float32 [3] 000000000000803f00000040\n")) << text("parameter.pt");
  const std::string optimizer = text("optimizer.pt");
  for (const char* line : {"state.0.exp_avg torch.float32 [2, 3] ", "param_groups.0.params.3 torch.int64 [] 0300",
                           "param_groups.0.lr torch.float64 [] "}) {
    EXPECT_TRUE(contains(optimizer, line)) << line << "\n" << optimizer;
  }
  const std::string values = text("values.pt");
  for (const char* line :
       {"1 torch.bool [] 01\n", "f torch.float64 [] 000000000000d03f\n", "i torch.int64 [] f9ffffffffffffff\n",
        "big torch.int64 [] 0000000000010000\n", "no torch.bool [] 00\n", "l.0 torch.int64 [] 01",
        "l.1.0 torch.float64", "t.0.1 torch.int64 [] 03", "t.1 torch.int64 [] 04", "shared torch.float32 [2, 3] "}) {
    EXPECT_TRUE(contains(values, line)) << line << "\n" << values;
  }
  EXPECT_EQ(text("slice.pt"), "whole torch.float32 [3] 000000400000404000008040\n");
  EXPECT_EQ(text("shapes.pt"), "scalar torch.int16 [] 0300\nempty torch.float32 [0, 4] \n");
  EXPECT_TRUE(contains(text("view.pt"), "tensor \"v\" is a view that is not contiguous")) << text("view.pt");

  EXPECT_TRUE(contains(text("evil.pt"), "posix.system")) << text("evil.pt");
  EXPECT_TRUE(contains(text("eval.pt"), ".eval")) << text("eval.pt");
  EXPECT_TRUE(contains(text("counter.pt"), "collections.Counter")) << text("counter.pt");
  EXPECT_TRUE(contains(text("module.pt"), "torch.nn.modules")) << text("module.pt");
  EXPECT_TRUE(contains(text("list.pt"), "no dict at its top")) << text("list.pt");
  EXPECT_TRUE(contains(text("legacy.pt"), "no .pt archive")) << text("legacy.pt");
  if (std::filesystem::exists(path("numpy.pt"))) {
    EXPECT_TRUE(contains(text("numpy.pt"), "numpy.")) << text("numpy.pt");
  }
  EXPECT_FALSE(std::filesystem::exists(path("executed")));
}

TEST(PythonsZipfile, FindsOurArchivesInOrder) {
  if (run(std::string(kPython) + " -c 'import zipfile'").status != 0) GTEST_SKIP() << "SKIPPED: no /usr/bin/python3";
  const TemporaryDirectory temporary;
  const auto file = temporary.path() / "ours.pt";
  write_text(file, text_of(write_archive(FullState().root())));
  const Ran ran = run(std::string(kPython) + " -m zipfile -t " + file.string());
  EXPECT_EQ(ran.status, 0) << ran.output;
  EXPECT_TRUE(contains(ran.output, "Done testing")) << ran.output;
  EXPECT_FALSE(contains(ran.output, "corrupted")) << ran.output;
}

TEST(Xxhsum, PrintsOurDigest) {
  if (run("xxhsum --version").status != 0) GTEST_SKIP() << "SKIPPED: no xxhsum (package xxhash)";
  const TemporaryDirectory temporary;
  for (const std::size_t bytes : {0U, 1U, 200U, 100'000U}) {
    const auto file = temporary.path() / "file";
    const std::string content(bytes, 'x');
    write_text(file, content);
    const Ran ran = run("xxhsum -H2 " + file.string());
    ASSERT_EQ(ran.status, 0) << ran.output;
    EXPECT_TRUE(contains(ran.output, digest_of(bytes_of(content)).substr(std::string("xxh3-128:").size())))
        << ran.output;
  }
}

}  // namespace
}  // namespace ts::checkpoint
