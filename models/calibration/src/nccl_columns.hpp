// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/error.hpp"
#include "gabra/core/units.hpp"

#include "bus_bandwidth.hpp"
#include "table_text.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gabra::detail {

/// A row of the output of nccl-tests.
struct NcclRow {
  std::string place;
  Bytes bytes;
  Seconds seconds;
  PrintedNumber algorithm, bus;  ///< GB/s
  bool is_consistent = true;     ///< size / time is the algorithm bandwidth
  std::string operation, root;   ///< "sum", "-1"; empty where there is no such column
  std::string wrong, wrong_in_place;

  [[nodiscard]] BusFactor factor() const;
};

/// What the row with the least rounding says; nothing where all bandwidths are too small.
[[nodiscard]] std::optional<BusFactor> bus_factor(std::span<const NcclRow> rows);

/// Which column is which, by the names in the header. They differ from version to version:
///
///     bytes N type op time algbw busbw res ...                     before 2.0, in ms
///     size count type redop time algbw busbw error ...             2.0 to 2.10, and AMD's
///     size count type redop root time algbw busbw #wrong ...       since 2.11 (error) and 2.13
///
/// followed by the same columns in place; newer ones may have #bitdiff, i_min, i_max, i_p99, i_cv% after #wrong, and a
/// timestamp (two words) at the end.
class NcclColumns {
 public:
  /// `names` of the header in `place`; `sides` is "out-of-place" and "in-place" in the order of the line above.
  static NcclColumns from_header(const std::vector<std::string_view>& names, const std::vector<std::string>& sides,
                                 const std::string& place, FaultList& faults);

  /// The line below: "(B) (elements) (us) (GB/s) (GB/s) ...".
  void read_units(const std::vector<std::string_view>& words, const std::string& place, FaultList& faults);

  /// Whether it is a row, whatever its size: as many words, of which the bandwidths are numbers.
  [[nodiscard]] bool looks_like_row(const std::vector<std::string_view>& words) const;

  /// Nothing where the row is faulty. Other numbers of columns are reported by check_rows().
  [[nodiscard]] std::optional<NcclRow> read_row(const std::vector<std::string_view>& words, const std::string& place,
                                                FaultList& faults);

  /// Reports rows that do not fit the header: one fault where all do not.
  void check_rows(std::span<const NcclRow> rows, FaultList& faults) const;

  [[nodiscard]] const std::string& place() const { return place_; }
  [[nodiscard]] bool has_operation() const { return operation_.has_value(); }
  [[nodiscard]] bool has_only_in_place() const { return has_only_in_place_; }
  /// No sum of all ranks, which has neither root nor another operation.
  [[nodiscard]] bool is_other_collective(std::span<const NcclRow> rows) const;
  /// Results were checked out of place only.
  [[nodiscard]] bool is_unchecked_in_place(std::span<const NcclRow> rows) const;

 private:
  struct Side {
    std::size_t time = 0, algorithm = 0, bus = 0;
    std::optional<std::size_t> wrong;
  };
  struct Misfit {
    std::string place;
    std::size_t words;
  };

  std::string place_;
  std::size_t count_ = 0;  // of words in a row
  std::size_t size_ = 0;
  std::optional<std::size_t> operation_, root_;
  Side used_;
  std::size_t used_index_ = 0;    // among the sides
  std::optional<Side> in_place_;  // besides `used_`
  bool has_only_in_place_ = false;
  bool is_faulty_ = false;
  double unit_ = 1e-6;  // of times
  std::vector<Misfit> misfits_;
};

}  // namespace gabra::detail
