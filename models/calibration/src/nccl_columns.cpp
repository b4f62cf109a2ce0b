// SPDX-License-Identifier: MIT
#include "nccl_columns.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace gabra::detail {
namespace {

constexpr double kGiga = 1e9;
constexpr double kSlack = 0.02;  // above what rounding explains; a wrong column is far off

std::optional<std::size_t> find(const std::vector<std::string_view>& names, std::string_view name, std::size_t begin,
                                std::size_t end) {
  for (std::size_t i = begin; i < end; ++i)
    if (names[i] == name) return i;
  return std::nullopt;
}

bool is_integer(std::string_view word) {
  if (word.starts_with('-')) word.remove_prefix(1);
  return !word.empty() && word.find_first_not_of("0123456789") == std::string_view::npos;
}

std::optional<Bytes> whole_bytes(const PrintedNumber& number) {
  constexpr double kMost = 1e15;
  if (number.value < 1.0 || number.value > kMost || number.value != std::floor(number.value)) return std::nullopt;
  return Bytes(static_cast<std::int64_t>(number.value));
}

}  // namespace

BusFactor NcclRow::factor() const {
  if (algorithm.value <= 0.0) return {0.0, std::numeric_limits<double>::infinity()};
  const double factor = bus.value / algorithm.value;
  // A hair more, for numbers that lie between two printed ones.
  return {factor, 1.01 * (bus.rounding + factor * algorithm.rounding) / algorithm.value};
}

std::optional<BusFactor> bus_factor(std::span<const NcclRow> rows) {
  constexpr double kMostRounding = 0.1;
  std::optional<BusFactor> best;
  for (const NcclRow& row : rows) {
    const BusFactor factor = row.factor();
    if (factor.rounding < (best ? best->rounding : kMostRounding)) best = factor;
  }
  return best;
}

NcclColumns NcclColumns::from_header(const std::vector<std::string_view>& names, const std::vector<std::string>& sides,
                                     const std::string& place, FaultList& faults) {
  NcclColumns columns;
  columns.place_ = place;
  columns.count_ = names.size();
  const auto fault = [&](const std::string& seen, const char* allowed) {
    columns.is_faulty_ = true;
    faults.add(place, seen, allowed);
  };
  const bool has_bytes = std::find(names.begin(), names.end(), "bytes") != names.end();
  if (has_bytes) columns.unit_ = 1e-3;
  if (std::find(names.begin(), names.end(), "timestamp") != names.end()) ++columns.count_;  // date and time
  const auto size = find(names, has_bytes ? "bytes" : "size", 0, names.size());
  if (size) columns.size_ = *size;
  if (!size) fault("a header without size", "the header of nccl-tests: size, count, type, ...");
  if (find(names, "cputime", 0, names.size()))
    fault("the column cputime (of --report_cputime): time of the host", "the column time, of the devices");

  std::vector<Side> found;
  for (std::size_t begin = 0; begin < names.size(); ++begin) {
    if (names[begin] != "time") continue;
    const std::size_t end = find(names, "time", begin + 1, names.size()).value_or(names.size());
    const auto algorithm = find(names, "algbw", begin, end), bus = find(names, "busbw", begin, end);
    if (!algorithm || !bus) {
      fault("a column time without algbw and busbw after it", "time, algbw, busbw");
      continue;
    }
    Side side{.time = begin, .algorithm = *algorithm, .bus = *bus, .wrong = {}};
    for (const std::string_view name : {"#wrong", "error", "res"})
      if (!side.wrong) side.wrong = find(names, name, begin, end);
    found.push_back(side);
  }
  if (found.empty() && !columns.is_faulty_) fault("a header without time", "time, algbw, busbw");
  if (found.empty()) return columns;
  for (const std::string_view name : {"redop", "op"})
    if (!columns.operation_) columns.operation_ = find(names, name, 0, found.front().time);
  columns.root_ = find(names, "root", 0, found.front().time);
  // Without a line of sides it is NVIDIA's order.
  const bool is_known = sides.size() == found.size();
  const bool is_second = is_known && found.size() == 2 && sides[1] == "out-of-place";
  columns.used_index_ = is_second ? 1 : 0;
  columns.used_ = found[columns.used_index_];
  if (found.size() == 2) columns.in_place_ = found[is_second ? 0 : 1];
  columns.has_only_in_place_ = is_known && found.size() == 1 && sides[0] == "in-place";
  return columns;
}

void NcclColumns::read_units(const std::vector<std::string_view>& words, const std::string& place, FaultList& faults) {
  constexpr std::array<std::string_view, 6> kUnits{"(B)", "(elements)", "(us)", "(ms)", "(GB/s)", "(%)"};
  for (const std::string_view word : words)
    if (word.starts_with("(") && std::find(kUnits.begin(), kUnits.end(), word) == kUnits.end()) {
      is_faulty_ = true;
      faults.add(place, "the unit " + in_quotes(word), "(B), (elements), (us) or (ms), (GB/s)");
      return;
    }
  std::vector<std::string_view> of_times;  // a time stands before two bandwidths
  for (std::size_t i = 0; i + 1 < words.size(); ++i)
    if (words[i] != "(GB/s)" && words[i + 1] == "(GB/s)") of_times.push_back(words[i]);
  if (used_index_ < of_times.size()) unit_ = of_times[used_index_] == "(ms)" ? 1e-3 : 1e-6;
}

bool NcclColumns::looks_like_row(const std::vector<std::string_view>& words) const {
  return !is_faulty_ && words.size() == count_ && read_printed(words[used_.algorithm]) &&
         read_printed(words[used_.bus]);
}

std::optional<NcclRow> NcclColumns::read_row(const std::vector<std::string_view>& words, const std::string& place,
                                             FaultList& faults) {
  if (is_faulty_) return std::nullopt;
  // Some versions print blanks for a root of -1.
  const bool is_without_root = root_ && words.size() + 1 == count_ && !words[*root_].starts_with('-');
  if (words.size() != count_ && !is_without_root) {
    misfits_.push_back({place, words.size()});
    return std::nullopt;
  }
  const auto word = [&](std::size_t column) { return words[column - (is_without_root && column > *root_ ? 1 : 0)]; };
  const auto number = [&](std::size_t column, const char* what) {
    const auto value = read_printed(word(column));
    if (!value) faults.add(place, in_quotes(word(column)), fmt::format("{}, a number from 0", what));
    return value;
  };
  const auto size = number(size_, "the size in bytes");
  const auto time = number(used_.time, "the time");
  const auto algorithm = number(used_.algorithm, "the algorithm bandwidth in GB/s");
  const auto bus = number(used_.bus, "the bus bandwidth in GB/s");
  if (!size || !time || !algorithm || !bus) return std::nullopt;
  const auto bytes = whole_bytes(*size);
  if (!bytes) faults.add(place, fmt::format("a size of {} bytes", size->value), "a whole number from 1 to 1e15");
  if (time->value <= 0.0) faults.add(place, in_quotes(word(used_.time)), "the time, above 0");
  if (!bytes || time->value <= 0.0) return std::nullopt;

  NcclRow row{.place = place,
              .bytes = *bytes,
              .seconds = Seconds(time->value * unit_),
              .algorithm = *algorithm,
              .bus = *bus,
              .is_consistent = true,
              .operation = {},
              .root = {},
              .wrong = {},
              .wrong_in_place = {}};
  if (operation_) row.operation = word(*operation_);
  if (root_ && !is_without_root) row.root = word(*root_);
  if (used_.wrong) row.wrong = word(*used_.wrong);
  if (in_place_ && in_place_->wrong) row.wrong_in_place = word(*in_place_->wrong);
  const double rate = size->value / row.seconds.value() / kGiga;
  const double rounding = algorithm->rounding + rate * (time->rounding / time->value + kSlack);
  row.is_consistent = std::abs(rate - algorithm->value) <= rounding;
  if (root_ && !is_without_root && !is_integer(row.root)) row.is_consistent = false;
  return row;
}

void NcclColumns::check_rows(std::span<const NcclRow> rows, FaultList& faults) const {
  const bool is_one_fault =
      rows.empty() && misfits_.size() > 1 &&
      std::all_of(misfits_.begin(), misfits_.end(), [&](const Misfit& m) { return m.words == misfits_[0].words; });
  if (is_one_fault) {
    faults.add(place_, fmt::format("a header of {} columns above rows of {}", count_, misfits_[0].words),
               "a name for every column");
  } else {
    for (const Misfit& misfit : misfits_)
      faults.add(misfit.place, fmt::format("{} columns", misfit.words),
                 fmt::format("{}, as the header in {} names", count_, place_));
  }
  const auto count = std::count_if(rows.begin(), rows.end(), [](const NcclRow& row) { return !row.is_consistent; });
  // A bandwidth of 0.01 is consistent with much.
  constexpr double kFewDigits = 20.0;
  const bool is_all = count > 1 && std::none_of(rows.begin(), rows.end(), [](const NcclRow& row) {
                        return row.is_consistent && row.algorithm.value > kFewDigits * row.algorithm.rounding;
                      });
  for (const NcclRow& row : rows) {
    if (row.is_consistent) continue;
    faults.add(row.place,
               fmt::format("{} bytes in {} at an algorithm bandwidth of {:g} GB/s", row.bytes.value(),
                           to_text(row.seconds), row.algorithm.value),
               fmt::format("{:.4g} GB/s, which is size / time{}",
                           static_cast<double>(row.bytes.value()) / row.seconds.value() / kGiga,
                           is_all ? ", here and in all rows below" : ""));
    if (is_all) return;
  }
}

bool NcclColumns::is_other_collective(std::span<const NcclRow> rows) const {
  return std::any_of(rows.begin(), rows.end(), [](const NcclRow& row) {
    const bool has_root = !row.root.empty() && !row.root.starts_with('-');
    return row.operation == "none" || has_root;
  });
}

bool NcclColumns::is_unchecked_in_place(std::span<const NcclRow> rows) const {
  const auto is_unchecked = [](const std::string& word) { return word == "N/A"; };
  return !rows.empty() && std::all_of(rows.begin(), rows.end(), [&](const NcclRow& row) {
    return is_unchecked(row.wrong_in_place) && !is_unchecked(row.wrong);
  });
}

}  // namespace gabra::detail
