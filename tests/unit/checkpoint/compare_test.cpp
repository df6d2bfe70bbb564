// What two states have in common: equal to the bit or not, and how far apart.
#include "common/checkpoint/compare.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/checkpoint/state.h"

namespace ts::checkpoint {
namespace {

using Kind = TensorDifference::Kind;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <class T>
ElementDifference difference(DType dtype, const std::vector<T>& a, const std::vector<T>& b) {
  return compare_elements(view_of(dtype, a), view_of(dtype, b));
}

TEST(Elements, AreCountedAndMeasured) {
  const auto out = difference<float>(DType::float32, {1.0F, 2.0F, -3.0F, 4.0F}, {1.0F, 2.5F, -4.0F, 4.0F});
  EXPECT_EQ(out.elements, 4);
  EXPECT_EQ(out.differing, 2);
  EXPECT_EQ(out.unmeasured, 0);
  EXPECT_EQ(out.max_abs, 1.0);
  EXPECT_EQ(out.mean_abs, 0.375);
  EXPECT_DOUBLE_EQ(*out.relative, 0.375 / 2.5);
  const std::vector<double> same = {1.0, -0.5};
  EXPECT_EQ(difference(DType::float64, same, same), (ElementDifference{2, 0, 0, 0.0, 0.0, 0.0}));
  EXPECT_EQ(difference<double>(DType::float64, {}, {}), ElementDifference());
  EXPECT_FALSE(difference<double>(DType::float64, {0.0}, {1.0}).relative) << "a share of nothing";
}

TEST(Elements, AreEqualWhenTheirBitsAre) {
  EXPECT_EQ(difference<double>(DType::float64, {kNaN, kInfinity}, {kNaN, kInfinity}).differing, 0);
  double other_nan = kNaN;
  std::uint64_t bits = 0;
  std::memcpy(&bits, &other_nan, sizeof bits);
  bits ^= 1;
  std::memcpy(&other_nan, &bits, sizeof bits);
  EXPECT_EQ(difference<double>(DType::float64, {kNaN}, {other_nan}).differing, 1);
  const auto zeros = difference<float>(DType::float32, {0.0F}, {-0.0F});
  EXPECT_EQ(zeros.differing, 1);
  EXPECT_EQ(zeros.unmeasured, 0);
  EXPECT_EQ(zeros.max_abs, 0.0);
}

TEST(Elements, ThatHaveNoDistanceAreCountedApart) {
  const double most = std::numeric_limits<double>::max();
  const auto out = difference<double>(DType::float64, {kNaN, 1.0, kInfinity, 1.0, most, 2.0, kInfinity},
                                      {1.0, kNaN, 1.0, -kInfinity, -most, 2.5, -kInfinity});
  EXPECT_EQ(out.differing, 7);
  EXPECT_EQ(out.unmeasured, 6);
  EXPECT_EQ(out.max_abs, 0.5);
  EXPECT_TRUE(std::isfinite(out.mean_abs));
  const std::vector<double> huge(10, most);
  EXPECT_LE(difference(DType::float64, huge, std::vector<double>(10, 0.0)).mean_abs, most * (1 + 1e-9));
}

TEST(Elements, OfHalfPrecisionAreDecoded) {
  // 1, -2, 65504 (the greatest), 2^-24 (the smallest), infinity.
  const std::vector<std::uint16_t> halves = {0x3C00, 0xC000, 0x7BFF, 0x0001, 0x7C00};
  const std::vector<std::uint16_t> zeros(5, 0);
  const double expected[] = {1.0, 2.0, 65504.0, std::ldexp(1.0, -24)};
  for (std::size_t i = 0; i < 4; ++i) {
    const auto one = difference<std::uint16_t>(DType::float16, {halves[i]}, {0});
    EXPECT_EQ(one.max_abs, expected[i]) << i;
  }
  EXPECT_EQ(difference(DType::float16, halves, zeros).unmeasured, 1);
  EXPECT_EQ(difference<std::uint16_t>(DType::float16, {0x7E00}, {0x7E00}).differing, 0) << "NaN";
  // bfloat16: 1, -2, 3.140625.
  EXPECT_EQ(difference<std::uint16_t>(DType::bfloat16, {0x3F80}, {0xC000}).max_abs, 3.0);
  EXPECT_EQ(difference<std::uint16_t>(DType::bfloat16, {0x4049}, {0}).max_abs, 3.140625);
  EXPECT_EQ(difference<std::uint16_t>(DType::bfloat16, {0x7F80}, {0}).unmeasured, 1);
}

TEST(Elements, OfEveryIntegerTypeAreMeasuredWithoutOverflow) {
  EXPECT_EQ(difference<std::int8_t>(DType::int8, {-128}, {127}).max_abs, 255.0);
  EXPECT_EQ(difference<std::int16_t>(DType::int16, {-32768}, {32767}).max_abs, 65535.0);
  EXPECT_EQ(difference<std::int32_t>(DType::int32, {INT32_MIN}, {INT32_MAX}).max_abs, 4294967295.0);
  EXPECT_EQ(difference<std::int64_t>(DType::int64, {INT64_MIN}, {INT64_MAX}).max_abs, std::ldexp(1.0, 64));
  EXPECT_EQ(difference<std::int64_t>(DType::int64, {INT64_MAX}, {INT64_MAX - 1}).differing, 1);
  EXPECT_EQ(difference<std::int64_t>(DType::int64, {INT64_MAX}, {INT64_MAX - 1}).max_abs, 1.0);
  EXPECT_EQ(difference<std::uint8_t>(DType::uint8, {0}, {255}).max_abs, 255.0);
  EXPECT_EQ(difference<std::uint8_t>(DType::boolean, {0, 1}, {1, 1}).differing, 1);
  EXPECT_FALSE(difference<std::int32_t>(DType::int32, {1}, {2}).relative) << "for floating point only";
}

class States : public testing::Test {
 protected:
  // {"model": {"weight": …, "bias": …}, "steps": …}
  Dict state(const std::vector<float>& weight, const std::int64_t& steps) const {
    Dict model;
    model.add("weight", view_of(DType::float32, weight));
    model.add("bias", view_of(DType::float32, bias_));
    Dict out;
    out.add("model", std::move(model));
    out.add("steps", view_of(steps));
    return out;
  }

  std::vector<float> bias_ = {0.5F};
  std::vector<float> weight_ = {1.0F, 2.0F};
  std::vector<float> moved_ = {1.0F, 2.5F};
  std::int64_t ten_ = 10;
  std::int64_t twenty_ = 20;
};

TEST_F(States, OfOneContentAreIdentical) {
  const std::vector<float> copy = weight_;
  const Comparison out = compare(state(weight_, ten_), state(copy, ten_));
  EXPECT_TRUE(out.identical());
  EXPECT_EQ(out.tensors, 3);
  EXPECT_TRUE(compare(Dict(), Dict()).identical());
}

TEST_F(States, DifferByTheTensorsThatDoAndNoOthers) {
  const Comparison out = compare(state(weight_, ten_), state(moved_, twenty_));
  ASSERT_EQ(out.differences.size(), 2U);
  EXPECT_EQ(out.tensors, 3);
  EXPECT_EQ(out.differences[0].name, "model.weight");
  EXPECT_EQ(out.differences[0].kind, Kind::values);
  EXPECT_EQ(out.differences[0].elements.differing, 1);
  EXPECT_EQ(out.differences[0].elements.max_abs, 0.5);
  EXPECT_EQ(out.differences[1].name, "steps");
  EXPECT_EQ(out.differences[1].elements.max_abs, 10.0);
}

TEST_F(States, OfDifferentLayoutsAreNotMeasured) {
  Dict a;
  Dict b;
  const std::vector<double> doubles = {1.0};
  a.add("same bytes", TensorView{DType::float32, {2, 1}, std::as_bytes(std::span(weight_))});
  b.add("same bytes", TensorView{DType::float32, {1, 2}, std::as_bytes(std::span(weight_))});
  a.add("type", view_of(DType::float64, doubles));
  b.add("type", TensorView{DType::int64, {1}, std::as_bytes(std::span(doubles))});
  const Comparison out = compare(a, b);
  ASSERT_EQ(out.differences.size(), 2U);
  for (const TensorDifference& one : out.differences) {
    EXPECT_EQ(one.kind, Kind::layout) << one.name;
    EXPECT_EQ(one.elements, ElementDifference()) << one.name;
  }
  EXPECT_EQ(out.differences[0].a->shape, (std::vector<std::int64_t>{2, 1}));
  EXPECT_EQ(out.differences[1].b->dtype, DType::int64);
}

TEST_F(States, NameWhatOnlyOneOfThemHas) {
  Dict a = state(weight_, ten_);
  a.add("old", view_of(ten_));
  Dict b = state(weight_, ten_);
  b.add("new", view_of(twenty_));
  Comparison out = compare(a, b);
  ASSERT_EQ(out.differences.size(), 2U);
  EXPECT_EQ(out.tensors, 5);
  EXPECT_EQ(out.differences[0].name, "old");
  EXPECT_EQ(out.differences[0].kind, Kind::only_in_a);
  EXPECT_TRUE(out.differences[0].a && !out.differences[0].b);
  EXPECT_EQ(out.differences[1].name, "new");
  EXPECT_EQ(out.differences[1].kind, Kind::only_in_b);

  // A dict here and a tensor there, and names that only look the same.
  Dict inner;
  inner.add("c", view_of(ten_));
  Dict dotted;
  dotted.add("a.b", inner);
  Dict nested_inner;
  nested_inner.add("b.c", view_of(ten_));
  Dict nested;
  nested.add("a", nested_inner);
  out = compare(dotted, nested);
  ASSERT_EQ(out.differences.size(), 2U);
  EXPECT_EQ(out.differences[0].name, "a.b.c");
  EXPECT_EQ(out.differences[1].name, "a.b.c");
}

TEST_F(States, AreComparedByNameNotByOrder) {
  Dict a;
  a.add("x", view_of(ten_));
  a.add("y", view_of(twenty_));
  Dict b;
  b.add("y", view_of(twenty_));
  b.add("x", view_of(ten_));
  EXPECT_TRUE(compare(a, b).identical());
}

}  // namespace
}  // namespace ts::checkpoint
