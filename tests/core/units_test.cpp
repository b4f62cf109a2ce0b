// SPDX-License-Identifier: MIT
#include "gabra/core/units.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace gabra {
namespace {

template <class T>
bool is_refused(const Parsed<T>& parsed) {
  return std::holds_alternative<std::string>(parsed);
}

std::int64_t bytes_of(std::string_view text) {
  const Parsed<Bytes> parsed = parse_bytes(text);
  return is_refused(parsed) ? -1 : std::get<Bytes>(parsed).value();
}
double seconds_of(std::string_view text) {
  const Parsed<Seconds> parsed = parse_seconds(text);
  return is_refused(parsed) ? -1.0 : std::get<Seconds>(parsed).value();
}
double byte_rate_of(std::string_view text) {
  const Parsed<BytesPerSecond> parsed = parse_bytes_per_second(text);
  return is_refused(parsed) ? -1.0 : std::get<BytesPerSecond>(parsed).value();
}
double flop_rate_of(std::string_view text) {
  const Parsed<FlopsPerSecond> parsed = parse_flops_per_second(text);
  return is_refused(parsed) ? -1.0 : std::get<FlopsPerSecond>(parsed).value();
}

TEST(Units, EveryPrefixOfASize) {
  EXPECT_EQ(bytes_of("3 B"), 3);
  EXPECT_EQ(bytes_of("3 kB"), 3'000);
  EXPECT_EQ(bytes_of("3 MB"), 3'000'000);
  EXPECT_EQ(bytes_of("3 GB"), 3'000'000'000);
  EXPECT_EQ(bytes_of("3 TB"), 3'000'000'000'000);
  EXPECT_EQ(bytes_of("3 PB"), 3'000'000'000'000'000);
  EXPECT_EQ(bytes_of("3 KiB"), std::int64_t{3} << 10);
  EXPECT_EQ(bytes_of("3 MiB"), std::int64_t{3} << 20);
  EXPECT_EQ(bytes_of("3 GiB"), std::int64_t{3} << 30);
  EXPECT_EQ(bytes_of("3 TiB"), std::int64_t{3} << 40);
  EXPECT_EQ(bytes_of("3 PiB"), std::int64_t{3} << 50);
}

TEST(Units, SpacesAndFractions) {
  EXPECT_EQ(bytes_of("32GiB"), std::int64_t{32} << 30);
  EXPECT_EQ(bytes_of("  1.5   KiB "), 1536);
  EXPECT_EQ(bytes_of("1e3 kB"), 1'000'000);
  EXPECT_EQ(bytes_of("0.1 kB"), 100);
}

TEST(Units, ASizeOfWholeBytesIsExactUpToTheLargest) {
  EXPECT_EQ(bytes_of("9007199254740993 B"), 9007199254740993);  // 2^53 + 1 is not a double
  EXPECT_EQ(bytes_of("9223372036854775807 B"), std::numeric_limits<std::int64_t>::max());
}

TEST(Units, SizesThatDoNotFitAreRefused) {
  EXPECT_EQ(bytes_of("9223372036854775808 B"), -1);  // 2^63
  EXPECT_EQ(bytes_of("8192 PiB"), -1);               // 2^63
  EXPECT_EQ(bytes_of("10000 PB"), -1);
  EXPECT_EQ(bytes_of("1e300 B"), -1);
  EXPECT_EQ(bytes_of("1e400 B"), -1);
  EXPECT_EQ(bytes_of("8191 PiB"), std::int64_t{8191} << 50);
}

TEST(Units, MissingUnitsAreRefusedButForZero) {
  EXPECT_EQ(bytes_of("25"), -1);
  EXPECT_EQ(bytes_of("25 M"), -1);
  EXPECT_EQ(bytes_of("0"), 0);
  EXPECT_EQ(seconds_of("2"), -1.0);
  EXPECT_EQ(seconds_of("0"), 0.0);
  EXPECT_EQ(byte_rate_of("25e9"), -1.0);
  EXPECT_EQ(flop_rate_of("15.7e12"), -1.0);
}

TEST(Units, NegativeNonFiniteAndMalformedNumbersAreRefused) {
  for (const char* text :
       {"-1 s", "-0 s", "-1e-300 s", "inf s", "infinity s", "nan s", "-inf s", "+1 s",     "1e400 s", "",
        " ",    "s",    "0x10 s",    "1,5 s", "1.5.2 s",    "1 2 s", "1 s s",  "1 second", "1 S",     "1 sec"})
    EXPECT_TRUE(is_refused(parse_seconds(text))) << text;
}

TEST(Units, WrongDimensionsAreRefused) {
  EXPECT_TRUE(is_refused(parse_bytes("1 GB/s")));
  EXPECT_TRUE(is_refused(parse_bytes("1 Gb")));  // bits: only rates take them
  EXPECT_TRUE(is_refused(parse_bytes("1 s")));
  EXPECT_TRUE(is_refused(parse_bytes_per_second("1 GB")));
  EXPECT_TRUE(is_refused(parse_flops_per_second("1 GFLOP")));
  EXPECT_TRUE(is_refused(parse_watts("1 J")));
}

TEST(Units, TimesAreTheDoubleNearestToTheirText) {
  EXPECT_EQ(seconds_of("2 us"), 2e-6);
  EXPECT_EQ(seconds_of("40.002 ms"), 40.002e-3);
  EXPECT_EQ(seconds_of("7 ns"), 7e-9);
  EXPECT_EQ(seconds_of("1.5 s"), 1.5);
  EXPECT_EQ(seconds_of("2 min"), 120.0);
  EXPECT_EQ(seconds_of("2 h"), 7200.0);
}

TEST(Units, RatesKeepBitsAndBytesApart) {
  EXPECT_EQ(byte_rate_of("25 GB/s"), 25e9);
  EXPECT_EQ(byte_rate_of("25GBps"), 25e9);
  EXPECT_EQ(byte_rate_of("200 Gbit/s"), 25e9);
  EXPECT_EQ(byte_rate_of("200Gbps"), 25e9);
  EXPECT_EQ(byte_rate_of("200 Gb/s"), 25e9);
  EXPECT_EQ(byte_rate_of("8 bit/s"), 1.0);
  EXPECT_EQ(byte_rate_of("1 GiB/s"), 1073741824.0);
  EXPECT_EQ(flop_rate_of("15.7 TFLOP/s"), 15.7e12);
  EXPECT_EQ(flop_rate_of("15.7 TFLOPS"), 15.7e12);
  EXPECT_EQ(std::get<Watts>(parse_watts("0.3 kW")).value(), 300.0);
}

TEST(Units, ARefusalSaysWhatIsAllowed) {
  EXPECT_NE(std::get<std::string>(parse_bytes("25")).find("32 GiB"), std::string::npos);
  EXPECT_NE(std::get<std::string>(parse_seconds("2")).find("us"), std::string::npos);
  EXPECT_NE(std::get<std::string>(parse_bytes_per_second("2")).find("GB/s"), std::string::npos);
  EXPECT_NE(std::get<std::string>(parse_flops_per_second("2")).find("TFLOP/s"), std::string::npos);
  EXPECT_NE(std::get<std::string>(parse_watts("2")).find("300 W"), std::string::npos);
}

TEST(Units, TextForPeopleHasFourDigits) {
  EXPECT_EQ(to_text(Seconds(0.040002)), "40.00 ms");
  EXPECT_EQ(to_text(Seconds(0.0)), "0 s");
  EXPECT_EQ(to_text(Seconds(2e-6)), "2.000 us");
  EXPECT_EQ(to_text(Seconds(0.99996)), "1.000 s");  // rounds up into the next unit
  EXPECT_EQ(to_text(Seconds(123.4)), "123.4 s");
  EXPECT_EQ(to_text(Seconds(86400.0)), "86400 s");
  EXPECT_EQ(to_text(Bytes(1023)), "1023 B");
  EXPECT_EQ(to_text(Bytes(1024)), "1.000 KiB");
  EXPECT_EQ(to_text(Bytes(std::int64_t{3} << 29)), "1.500 GiB");
  EXPECT_EQ(to_text(BytesPerSecond(25e9)), "25.00 GB/s");
  EXPECT_EQ(to_text(FlopsPerSecond(15.7e12)), "15.70 TFLOP/s");
  EXPECT_EQ(to_text(Flops(999.96e9)), "1.000 TFLOP");
  EXPECT_EQ(to_text(Watts(300.0)), "300.0 W");
  EXPECT_EQ(to_text(Joules(1500.0)), "1.500 kJ");
}

TEST(Units, ExactTextReadsBackToTheSameBits) {
  const double awkward[] = {
      0.1, 1.0 / 3.0, 2e-6, 25e9, 5e-324, std::numeric_limits<double>::max(), 123456789.123456789};
  for (const double value : awkward) {
    EXPECT_EQ(std::get<Seconds>(parse_seconds(to_exact_text(Seconds(value)))).value(), value);
    EXPECT_EQ(std::get<BytesPerSecond>(parse_bytes_per_second(to_exact_text(BytesPerSecond(value)))).value(), value);
    EXPECT_EQ(std::get<FlopsPerSecond>(parse_flops_per_second(to_exact_text(FlopsPerSecond(value)))).value(), value);
    EXPECT_EQ(std::get<Watts>(parse_watts(to_exact_text(Watts(value)))).value(), value);
  }
  EXPECT_EQ(to_exact_text(Bytes(std::int64_t{32} << 30)), "34359738368 B");
}

// Dimensions do not mix: these expressions must not compile.
template <class A, class B>
concept addable = requires(A a, B b) {
  a + b;
};
template <class A, class B>
concept multipliable = requires(A a, B b) {
  a* b;
};
static_assert(addable<Seconds, Seconds> && !addable<Seconds, Bytes> && !addable<Bytes, BytesPerSecond>);
static_assert(!addable<Seconds, double> && !multipliable<Seconds, Seconds>);
static_assert(!std::is_convertible_v<double, Seconds> && !std::is_convertible_v<Seconds, double>);

}  // namespace
}  // namespace gabra
