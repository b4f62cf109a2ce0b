// SPDX-License-Identifier: MIT
#pragma once

#include "data_set.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace gabra::exec {

/// Who of a data set's table does not take part, and why.
struct LeftOutPeople {
  std::map<std::string, std::int64_t> other_groups;  ///< how many of each
  std::string session;                               ///< that was asked for
  std::vector<std::string> without_session;
  std::vector<data::LeftOut> bad;  ///< with faults
};
[[nodiscard]] LeftOutPeople left_out_of(const data::Cohort& cohort, const std::string& session);
/// Lines without an end; nothing where everybody takes part.
[[nodiscard]] std::vector<std::string> to_lines(const LeftOutPeople& left_out);
/// "other_groups", "without_session", and "left_out" for those with faults.
[[nodiscard]] json::Value to_value(const LeftOutPeople& left_out);
/// The last of them alone.
[[nodiscard]] json::Value bad_value(const std::vector<data::LeftOut>& bad);
/// The lines, on stderr.
void print_left_out(const data::Cohort& cohort, const std::string& session);

/// Who takes part in a training.
struct People {
  struct Part {
    std::size_t people = 0, scans = 0;
  };
  data::Task task;
  Part train, validation, test;
  std::int64_t folds = 0, fold = 0;  ///< of a cross-validation; 0 without
  LeftOutPeople left_out;
};
[[nodiscard]] People people_of(const DataSet& data);
/// One line, and those of who is left out.
[[nodiscard]] std::string to_text(const People& people);
[[nodiscard]] json::Value to_value(const People& people);
/// The same as the first line of a log (gabra/log/1).
[[nodiscard]] json::Value log_line(const People& people);

}  // namespace gabra::exec
