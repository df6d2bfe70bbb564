// P7: a pickle is a program. Ours is read, never run: what is not part of a state dict is refused by name, and nothing
// in it, however deep, wide, cyclic or often repeated, takes more than its share of time and memory.
#include <sys/resource.h>

#include <chrono>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "common/checkpoint/archive_reader.h"
#include "tests/unit/checkpoint/archive_builder.h"
#include "tests/unit/checkpoint/support.h"

namespace ts::checkpoint {
namespace {

using namespace pickle;
using namespace std::string_literals;

const std::string kFourFloats(16, '\x01');

std::string refusal_of(const std::string& whole_pickle, const std::vector<std::string>& storages = {kFourFloats}) {
  const std::string file = archive_with(whole_pickle, storages);
  const auto archive = read_archive(bytes_of(file), "f.pt", CrcCheck::verify);
  if (archive) return "";
  EXPECT_EQ(archive.error().kind, ErrorKind::checkpoint);
  EXPECT_TRUE(archive.error().message.starts_with("f.pt cannot be used as a checkpoint: ")) << archive.error().message;
  return archive.error().message;
}

TEST(APickle, OfOneTensorIsRead) {
  const std::string file = archive_with(state_with(tensor({})), {kFourFloats});
  const auto archive = read_archive(bytes_of(file), "f.pt", CrcCheck::verify);
  ASSERT_TRUE(archive) << archive.error().message;
  const TensorView* found = archive->root.tensor("w");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(text_of(found->bytes), kFourFloats);
  EXPECT_EQ(found->shape, (std::vector<std::int64_t>{4}));
}

TEST(APickle, P7_ThatCallsAnythingElseIsRefusedByNameAndNothingIsExecuted) {
  const TemporaryDirectory temporary;
  const std::string proof = (temporary.path() / "executed").string();
  const struct {
    const char* module;
    const char* name;
  } callables[] = {{"os", "system"},        {"posix", "system"},        {"nt", "system"},
                   {"builtins", "eval"},    {"builtins", "exec"},       {"__builtin__", "eval"},
                   {"subprocess", "Popen"}, {"numpy", "ndarray"},       {"numpy.core.multiarray", "_reconstruct"},
                   {"torch", "load"},       {"torch", "Storage"},       {"torch._utils", "_rebuild_tensor"},
                   {"torch.jit", "load"},   {"collections", "Counter"}, {"torch.FloatStorage", ""}};
  for (const auto& [module, name] : callables) {
    const std::string message = refusal_of(state_with(call(module, name, {text("touch " + proof)})));
    EXPECT_TRUE(contains(message, std::string(module) + "." + name)) << module << " " << message;
    EXPECT_TRUE(contains(message, "nothing of it was executed")) << message;
  }
  EXPECT_FALSE(std::filesystem::exists(proof));
}

TEST(APickle, P7_ThatNamesAGlobalWithTerminalEscapesIsQuotedHarmlessly) {
  const std::string message = refusal_of(state_with(global("os\x1b[2J", "system")));
  EXPECT_FALSE(contains(message, "\x1b")) << message;
  EXPECT_TRUE(contains(message, "os\\x1b[2J.system")) << message;
}

TEST(APickle, WithAnOpcodeOfAnyOtherSortIsRefused) {
  // INST, OBJ, NEWOBJ, STACK_GLOBAL, PERSID, EXT1, REDUCE_EX's kin, POP, DUP, FRAME, BYTEARRAY8, INT, STRING.
  for (const std::string opcode :
       {"ios\nsystem\n", "o", "\x81", "\x93", "P0\n", "\x82\x01", "\x92", "0", "2", "\x95", "\x96", "I1\n", "S'a'\n"}) {
    EXPECT_TRUE(contains(refusal_of(whole("}" + opcode)), "which no state dict needs")) << opcode;
  }
  EXPECT_TRUE(contains(refusal_of("\x80\x01}."), "protocol 1"));
  EXPECT_TRUE(contains(refusal_of("\x80\x06}."), "protocol 6"));
}

TEST(APickle, ThatIsNoDictAtItsTopIsRefused) {
  for (const std::string& object : {text("x"), integer(1), std::string("N"), list({integer(1)}), tensor({}),
                                    global("collections", "OrderedDict"), std::string("(")}) {
    EXPECT_NE(refusal_of(whole(object)), "") << object;
  }
}

TEST(APickle, ThatBreaksItsStackIsRefused) {
  for (const std::string body : {"",        "u",  "s",     "e",     "a",  "t",  "b",         "R",   "Q", "\x85", "\x86",
                                 "\x87",    "q",  "q\x01", "h\x01", "j",  "}u", "}N.",       "}}",  "(", "((((", "Nb",
                                 "NN\x86R", ")R", "}(Nu",  "](a",   "NQ", ")Q", "}(K\x01(u", "((tt"}) {
    EXPECT_NE(refusal_of(whole(body)), "") << body;
    EXPECT_NE(refusal_of(body), "") << body;
  }
}

TEST(APickle, CutAtAnyLengthIsRefused) {
  const std::string right = state_with(tensor({}));
  for (std::size_t length = 0; length < right.size(); ++length) {
    EXPECT_NE(refusal_of(right.substr(0, length)), "") << length;
  }
}

TEST(APickle, ThatHoldsItselfIsRefused) {
  EXPECT_TRUE(contains(refusal_of(whole("}" + put(1) + text("me") + get(1) + "s")), "nested"));
  EXPECT_TRUE(contains(refusal_of(whole("}" + text("l") + "]" + put(1) + get(1) + "as")), "nested"));
  EXPECT_NE(refusal_of(whole("}" + text("l") + "]" + put(1) + get(1) + "a" + get(1) + "as")), "");
}

TEST(APickle, NestedTooDeeplyIsRefusedHoweverDeep) {
  for (const std::size_t depth : {40U, 1000U, 200'000U}) {
    std::string pickled;
    for (std::size_t i = 0; i < depth; ++i) pickled += "}" + text("a");
    pickled += "N" + std::string(depth, 's');
    EXPECT_TRUE(contains(refusal_of(whole(pickled)), "nested")) << depth;
    EXPECT_NE(refusal_of(whole("}" + text("a") + std::string(depth, ']') + std::string(depth - 1, 'a') + "s")), "");
    EXPECT_NE(refusal_of(whole(std::string(depth, '('))), "");
  }
}

// A sanitizer keeps several bytes for each of ours, and takes its time.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kSanitizerFactor = 6;
#else
constexpr int kSanitizerFactor = 1;
#endif

class Bomb : public testing::Test {
 protected:
  // What this process may grow to: far less than any of these bombs would take.
  void refuse_within_bounds(const std::string& pickled, std::string_view reason) {
    const long before = peak_kilobytes();
    const auto start = std::chrono::steady_clock::now();
    const std::string message = refusal_of(whole(pickled));
    EXPECT_TRUE(contains(message, reason)) << message;
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20) * kSanitizerFactor);
    EXPECT_LT(peak_kilobytes() - before, 1'500'000L * kSanitizerFactor);
  }

 private:
  static long peak_kilobytes() {
    struct rusage usage {};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  }
};

TEST_F(Bomb, P7_OfDictsInDictsIsRefused) {  // "a billion laughs"
  std::string pickled = dict({{text("x"), integer(1)}}) + put(0);
  for (int level = 1; level < 30; ++level) {
    pickled = pickled + dict({{text("a"), get(level - 1)}, {text("b"), get(level - 1)}}) + put(level);
  }
  // Everything but the last level is left on the stack: put into a list first.
  refuse_within_bounds("}" + text("x") + "](" + pickled + "es", "more than 1000000 members");
}

TEST_F(Bomb, P7_OfOneLongNameManyTimesOverIsRefused) {
  const std::string named = dict({{text(std::string(1'000'000, 'n')), integer(1)}}) + put(1);
  std::string many = "](" + named;
  for (int i = 0; i < 400'000; ++i) many += get(1);
  refuse_within_bounds("}" + text("x") + many + "es", "names are longer");
}

TEST_F(Bomb, P7_OfOneLongShapeManyTimesOverIsRefused) {
  const std::vector<std::int64_t> ones(100'000, 1);
  const std::string shape = numbers(ones) + put(1);
  const std::string storage =
      tuple({text("storage"), global("torch", "FloatStorage"), text("0"), text("cpu"), integer(4)}) + "Q" + put(2);
  const std::string function = global("torch._utils", "_rebuild_tensor_v2") + put(3);
  std::string many = "](" + shape + storage + function;
  for (int i = 0; i < 20'000; ++i) many += get(3) + "(" + get(2) + "K\0"s + get(1) + get(1) + "\x89tR";
  refuse_within_bounds("}" + text("x") + many + "es", "too many dimensions");
}

TEST_F(Bomb, P7_OfOneLongArgumentListManyTimesOverIsRefused) {
  std::string arguments = "(";
  for (int i = 0; i < 300'000; ++i) arguments += "N";
  std::string many = "](" + arguments + "t" + put(1) + global("torch._utils", "_rebuild_parameter") + put(2);
  for (int i = 0; i < 300'000; ++i) many += get(2) + get(1) + "R";
  refuse_within_bounds("}" + text("x") + many + "es" + "N", "too many arguments");
}

TEST_F(Bomb, P7_OfOneByteObjectsIsRefused) {
  refuse_within_bounds(std::string(60'000'000, 'N'), "more objects");
}

TEST(ATensor, WithAnImpossibleShapeIsRefusedByName) {
  const std::int64_t huge = std::int64_t{1} << 62;
  const Tensor impossible[] = {
      {.shape = {huge}, .strides = {1}},
      {.shape = {huge, huge}, .strides = {huge, 1}},
      {.shape = {huge, 4}, .strides = {4, 1}},
      {.shape = {4, huge}, .strides = {huge, 1}},
      {.shape = {5}, .strides = {1}},
      {.offset = 1, .shape = {4}, .strides = {1}},
      {.offset = huge, .shape = {1}, .strides = {1}},
      {.offset = std::numeric_limits<std::int64_t>::max(), .shape = {4}, .strides = {1}},
      {.key = "7"},
      {.key = "../data.pkl"},
  };
  for (const Tensor& wrong : impossible) {
    const std::string message = refusal_of(state_with(tensor(wrong)));
    EXPECT_TRUE(contains(message, "tensor \"w\"")) << message;
  }
  EXPECT_NE(refusal_of(state_with(tensor({.shape = {-4}, .strides = {1}}))), "");
  EXPECT_NE(refusal_of(state_with(tensor({.offset = -1}))), "");
  EXPECT_NE(refusal_of(state_with(tensor({.shape = {2, 2}, .strides = {1}}))), "");
  EXPECT_NE(refusal_of(state_with(tensor({.storage_class = "QInt8Storage"}))), "");
}

TEST(ATensor, OfNoElementsMayHaveAnyShape) {
  const std::int64_t huge = std::int64_t{1} << 58;
  EXPECT_EQ(refusal_of(state_with(tensor({.shape = {0, 5}, .strides = {5, 1}}))), "");
  EXPECT_EQ(refusal_of(state_with(tensor({.shape = {huge, 0}, .strides = {1, 1}}))), "");
  EXPECT_EQ(refusal_of(state_with(tensor({.shape = {0}, .strides = {1}})), {""}), "");
}

TEST(ATensor, ThatIsANonContiguousViewIsRefusedByNameWithAdvice) {
  for (const Tensor& view : {Tensor{.shape = {2, 2}, .strides = {1, 2}}, Tensor{.shape = {2}, .strides = {2}},
                             Tensor{.shape = {4}, .strides = {0}}}) {
    const std::string message = refusal_of(state_with(tensor(view)));
    EXPECT_TRUE(contains(message, "tensor \"w\" is a view that is not contiguous")) << message;
    EXPECT_TRUE(contains(message, ".contiguous()")) << message;
  }
  EXPECT_EQ(refusal_of(state_with(tensor({.shape = {1, 4}, .strides = {77, 1}}))), "");
  EXPECT_EQ(refusal_of(state_with(tensor({.offset = 2, .shape = {2}, .strides = {1}}))), "");
}

TEST(AKey, ThatAppearsTwiceOrIsNoNameIsRefused) {
  EXPECT_TRUE(contains(refusal_of(whole(dict({{text("a"), "N"}, {text("a"), "N"}}))), "\"a\" appears twice"));
  EXPECT_TRUE(contains(refusal_of(whole(dict({{text("1"), "N"}, {integer(1), "N"}}))), "\"1\" appears twice"));
  EXPECT_NE(refusal_of(whole(dict({{"N", "N"}}))), "");
  EXPECT_NE(refusal_of(whole(dict({{numbers({1}), "N"}}))), "");
}

}  // namespace
}  // namespace ts::checkpoint
