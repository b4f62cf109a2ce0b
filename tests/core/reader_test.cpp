// SPDX-License-Identifier: MIT
#include "gabra/json/reader.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace gabra::json {
namespace {

/// The faults of parsing `text`, each on a line.
std::string faults_of(std::string_view text) {
  FaultList faults;
  static_cast<void>(parse(text, "f.json", faults));
  std::string result;
  for (const Fault& fault : faults.faults()) result += to_text(fault) + "\n";
  return result;
}

std::string nested(int depth) {
  return std::string(static_cast<std::size_t>(depth), '[') + std::string(static_cast<std::size_t>(depth), ']');
}

TEST(Parse, KeepsTheOrderOfFields) {
  FaultList faults;
  const Value value = parse(R"({"z": 1, "a": [true, null, "x", -2, 1.5]})", "f.json", faults);
  EXPECT_TRUE(faults.empty());
  EXPECT_EQ(value.dump(), R"({"z":1,"a":[true,null,"x",-2,1.5]})");
}

TEST(Parse, SyntaxErrorsHaveLineAndColumn) {
  // The comma that is missing is noticed at the "b" of line 2, which begins at column 3.
  EXPECT_EQ(faults_of("{\"a\": 1\n  \"b\": 2}"), "f.json: line 2, column 3: saw \"\\\"b\\\"\"; allowed: JSON\n");
  EXPECT_EQ(faults_of("x"), "f.json: line 1, column 1: saw \"x\"; allowed: JSON\n");
  EXPECT_EQ(faults_of("[1,\n2,\n?]"), "f.json: line 3, column 1: saw \"?\"; allowed: JSON\n");
  EXPECT_EQ(faults_of("[1 -22]"), "f.json: line 1, column 4: saw \"-22\"; allowed: JSON\n");
  EXPECT_EQ(faults_of("[\"a\nb\"]"), "f.json: line 1, column 4: saw \"\\x0a\"; allowed: JSON\n");
}

TEST(Parse, TruncatedFilesSaySo) {
  for (const char* text : {"", "{", "{\"a\"", "{\"a\":", "{\"a\": [1, 2", "{\"a\": 1"})
    EXPECT_NE(faults_of(text).find("the end of the file"), std::string::npos) << text << ": " << faults_of(text);
  EXPECT_NE(faults_of("{\"a\": \"xyz"), "");
  EXPECT_NE(faults_of("[tru"), "");
}

TEST(Parse, GarbageIsAFault) {
  EXPECT_NE(faults_of(std::string_view("\0\0\0\0", 4)), "");
  EXPECT_NE(faults_of("\xff\xfe\xfd"), "");
  EXPECT_NE(faults_of("[\"\xff\"]"), "");
  EXPECT_NE(faults_of("{} {}"), "");
  EXPECT_NE(faults_of("[1,]"), "");
  EXPECT_NE(faults_of("{1: 2}"), "");
  EXPECT_NE(faults_of("// a comment\n{}"), "");
  EXPECT_NE(faults_of("[NaN]"), "");
  EXPECT_NE(faults_of("[Infinity]"), "");
}

TEST(Parse, EveryDuplicateFieldIsReportedAndTheFirstValueStands) {
  const char* text = R"({"a": 1, "b": {"c": 1, "c": {"d": 2}}, "a": [3], "e": [{"f": 1, "f": 2}]})";
  EXPECT_EQ(faults_of(text),
            "f.json: $.b.c: saw the field twice; allowed: each field once\n"
            "f.json: $.a: saw the field twice; allowed: each field once\n"
            "f.json: $.e[0].f: saw the field twice; allowed: each field once\n");
  FaultList faults;
  EXPECT_EQ(parse(text, "f.json", faults).dump(), R"({"a":1,"b":{"c":1},"e":[{"f":1}]})");
}

TEST(Parse, EveryNumberThatDoesNotFitADoubleIsReportedWithItsPath) {
  // Strings and real nulls between them do not shift the paths; the syntax error behind them is reported too.
  EXPECT_EQ(faults_of(R"({"a": 1e999, "b": "1e999 null", "c": null, "d": [2, -1e309], "a": 1})"),
            "f.json: $.a: saw the number 1e999; allowed: a finite number\n"
            "f.json: $.d[1]: saw the number -1e309; allowed: a finite number\n"
            "f.json: $.a: saw the field twice; allowed: each field once\n");
  EXPECT_EQ(faults_of("[" + std::string(400, '9') + ".0]").find("f.json: $[0]: saw the number 999"), 0U);
  EXPECT_NE(faults_of("[1e999, \"a\\\"1e999\", ?]").find("line 1, column 21: saw \"?\""), std::string::npos)
      << faults_of("[1e999, \"a\\\"1e999\", ?]");
  EXPECT_EQ(faults_of("[1e-999, 1e308, 123456789012345678901234567890]"), "");
}

TEST(Parse, NestingHasALimit) {
  EXPECT_EQ(faults_of(nested(kMostDepth)), "");
  EXPECT_NE(faults_of(nested(kMostDepth + 1)).find("more than 64 levels of nesting"), std::string::npos);
  EXPECT_NE(faults_of(nested(1'000'000)).find("more than 64 levels of nesting"), std::string::npos);
  EXPECT_NE(faults_of(std::string(1'000'000, '[')).find("more than 64 levels of nesting"), std::string::npos);
}

TEST(Parse, ALargeObjectTakesLinearTime) {
  // 200,000 fields: a search per field would take 2 x 10^10 comparisons, minutes.
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) text += (i == 0 ? "\"k" : ",\"k") + std::to_string(i) + "\":0";
  FaultList faults;
  EXPECT_EQ(parse(text + "}", "f.json", faults).size(), 200'000U);
  EXPECT_TRUE(faults.empty());
}

TEST(Place, WritesPathsThatFindTheField) {
  const Place root("f.json");
  EXPECT_EQ(root.text(), "f.json: $");
  EXPECT_EQ(root.key("stages").item(2).key("devices").item(0).text(), "f.json: $.stages[2].devices[0]");
  EXPECT_EQ(root.key("two words").key("").text(), "f.json: $[\"two words\"][\"\"]");
  EXPECT_LT(root.key(std::string(1'000'000, 'x')).text().size(), 100U);
}

/// Reads one object and returns the faults of `read`, each on a line.
template <class Read>
std::string faults_in(const char* text, Read read) {
  FaultList faults;
  const Value value = parse(text, "f.json", faults);
  ObjectReader object(value, Place("f.json"), faults);
  read(object);
  object.finish();
  std::string result;
  for (const Fault& fault : faults.faults()) result += to_text(fault) + "\n";
  return result;
}

TEST(ObjectReader, ReadsEveryType) {
  const char* text = R"({"text": "x", "flag": true, "whole": -3, "real": 1.5, "bytes": "2 KiB", "time": "2 us",
                         "rate": "8 Gbit/s", "flops": "2 TFLOP/s", "power": "3 W", "choice": "b", "numbers": [1, 2],
                         "names": ["p", "q"]})";
  const std::string faults = faults_in(text, [](ObjectReader& object) {
    EXPECT_EQ(object.text("text"), "x");
    EXPECT_TRUE(object.boolean_or("flag", false));
    EXPECT_EQ(object.integer("whole"), -3);
    EXPECT_EQ(object.number("real"), 1.5);
    EXPECT_EQ(object.bytes("bytes"), Bytes(2048));
    EXPECT_EQ(object.seconds("time"), Seconds(2e-6));
    EXPECT_EQ(object.bytes_per_second("rate"), BytesPerSecond(1e9));
    EXPECT_EQ(object.flops_per_second("flops"), FlopsPerSecond(2e12));
    EXPECT_EQ(object.watts_or("power", Watts(0.0)), Watts(3.0));
    EXPECT_EQ(object.choice("choice", {"a", "b"}), 1U);
    EXPECT_EQ(object.integers("numbers"), (std::vector<std::int64_t>{1, 2}));
    EXPECT_EQ(object.texts("names"), (std::vector<std::string>{"p", "q"}));
    EXPECT_EQ(object.integer_or("absent", 7), 7);
    EXPECT_EQ(object.text_or("absent", "y"), "y");
    EXPECT_EQ(object.bytes_or("absent", Bytes(5)), Bytes(5));
    EXPECT_FALSE(object.has("absent"));
  });
  EXPECT_EQ(faults, "");
}

TEST(ObjectReader, ReportsEveryFaultOfAnObjectAtOnce) {
  const char* text =
      R"({"text": 1, "whole": 1.5, "low": -1, "bytes": "5", "rate": 3, "choice": "c", "numbers": [1, "x", 2.5],
                         "names": "p", "devics": 1})";
  const std::string faults = faults_in(text, [](ObjectReader& object) {
    EXPECT_EQ(object.text("text"), "");
    EXPECT_EQ(object.integer("whole", kPositive), 1);  // the nearest value that is allowed
    EXPECT_EQ(object.integer("low", {0, 9}), 0);
    EXPECT_EQ(object.bytes("bytes"), Bytes(0));
    EXPECT_EQ(object.bytes_per_second("rate"), BytesPerSecond(1.0));
    EXPECT_EQ(object.choice("choice", {"a", "b"}), 0U);
    EXPECT_EQ(object.integers("numbers"), (std::vector<std::int64_t>{1}));
    EXPECT_TRUE(object.texts("names").empty());
    EXPECT_EQ(object.number("missing"), 0.0);
    object.list_or_empty("devices", [](const Value&, const Place&) {});
  });
  EXPECT_EQ(
      faults,
      "f.json: $.text: saw the number 1; allowed: a text\n"
      "f.json: $.whole: saw the number 1.5; allowed: a whole number from 1\n"
      "f.json: $.low: saw the number -1; allowed: a whole number from 0 to 9\n"
      "f.json: $.bytes: saw the text \"5\"; allowed: a size with a unit, for example \"32 GiB\" or \"25 MB\", below 8 "
      "EiB\n"
      "f.json: $.rate: saw the number 3; allowed: a text with a unit, for example \"25 GB/s\"\n"
      "f.json: $.choice: saw the text \"c\"; allowed: one of a, b\n"
      "f.json: $.numbers[1]: saw the text \"x\"; allowed: a whole number\n"
      "f.json: $.numbers[2]: saw the number 2.5; allowed: a whole number\n"
      "f.json: $.names: saw the text \"p\"; allowed: a list\n"
      "f.json: $.missing: saw no such field; allowed: this field is required\n"
      "f.json: $.devics: saw an unknown field (did you mean \"devices\"?); allowed: one of bytes, choice, devices, "
      "low, missing, names, numbers, rate, text, whole\n");
}

TEST(ObjectReader, IntegersThatDoNotFitAreRefused) {
  EXPECT_EQ(
      faults_in(R"({"a": 9223372036854775807})",
                [](ObjectReader& object) { EXPECT_EQ(object.integer("a"), std::numeric_limits<std::int64_t>::max()); }),
      "");
  EXPECT_NE(faults_in(R"({"a": 9223372036854775808})", [](ObjectReader& o) { static_cast<void>(o.integer("a")); }), "");
  EXPECT_NE(faults_in(R"({"a": 1e3})", [](ObjectReader& o) { static_cast<void>(o.integer("a")); }), "");
}

TEST(ObjectReader, SomethingElseThanAnObjectIsOneFaultOnly) {
  EXPECT_EQ(faults_in("[1, 2]",
                      [](ObjectReader& object) {
                        EXPECT_FALSE(object.is_object());
                        EXPECT_EQ(object.text("a"), "");
                        EXPECT_EQ(object.integer("b"), 0);
                      }),
            "f.json: $: saw a list of 2; allowed: an object\n");
}

TEST(ObjectReader, NullIsNoValue) {
  EXPECT_EQ(faults_in(R"({"a": null})", [](ObjectReader& object) { static_cast<void>(object.number("a")); }),
            "f.json: $.a: saw null; allowed: a number\n");
}

TEST(CheckSchema, NamesTheSchemaThatIsExpected) {
  const auto read = [](ObjectReader& object) { check_schema(object, "plan"); };
  EXPECT_EQ(faults_in(R"({"schema": "gabra/plan/1"})", read), "");
  EXPECT_EQ(faults_in(R"({"schema": "gabra/plan/2"})", read),
            "f.json: $.schema: saw the text \"gabra/plan/2\"; allowed: \"gabra/plan/1\"\n");
  EXPECT_EQ(faults_in("{}", read), "f.json: $.schema: saw no such field; allowed: this field is required\n");
  // Of another kind: what else is wrong with it says nothing.
  EXPECT_THROW(faults_in(R"({"schema": "gabra/profile/1"})", read), InputError);
}

TEST(Exact, ReadsBackToTheSameBits) {
  for (const double value : {0.0, -0.0, 0.1, 1.0 / 3.0, 1e22, 5e-324, std::numeric_limits<double>::max(), -2.0}) {
    const double read = Value::parse(exact(value)).get<double>();
    EXPECT_EQ(read, value);
    EXPECT_EQ(std::signbit(read), std::signbit(value)) << exact(value);
  }
}

TEST(ExactDeathTest, ANonFiniteNumberIsABug) {
  EXPECT_DEATH(static_cast<void>(exact(std::numeric_limits<double>::infinity())), "finite");
}

}  // namespace
}  // namespace gabra::json
