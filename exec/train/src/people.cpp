// SPDX-License-Identifier: MIT
#include "people.hpp"

#include "gabra/core/error.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>

namespace gabra::exec {
namespace {

constexpr std::size_t kMostNames = 10;

/// "sub-1, sub-2 and 5 more".
std::string shortened(const std::vector<std::string>& names) {
  const std::size_t shown = std::min(names.size(), kMostNames);
  const auto end = names.begin() + static_cast<std::ptrdiff_t>(shown);
  std::string text = fmt::format("{}", fmt::join(names.begin(), end, ", "));
  if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

std::string counted(std::size_t count) { return count == 1 ? "1 person" : fmt::format("{} people", count); }

json::Value part_value(const People::Part& part) { return {{"people", part.people}, {"scans", part.scans}}; }

}  // namespace

LeftOutPeople left_out_of(const data::Cohort& cohort, const std::string& session) {
  return {cohort.other_groups, session, cohort.without_session, cohort.bad};
}

std::vector<std::string> to_lines(const LeftOutPeople& left_out) {
  std::vector<std::string> lines;
  std::vector<std::string> groups;
  std::int64_t others = 0;
  for (const auto& [group, count] : left_out.other_groups) {
    groups.push_back(fmt::format("{} {}", group, count));
    others += count;
  }
  if (others > 0)
    lines.push_back(
        fmt::format("left out: {} of other groups: {}", counted(static_cast<std::size_t>(others)), shortened(groups)));
  if (const auto& without = left_out.without_session; !without.empty())
    lines.push_back(fmt::format("left out: {} without the session {}: {}", counted(without.size()),
                                in_quotes(left_out.session), shortened(without)));
  for (const data::LeftOut& one : left_out.bad) lines.push_back(fmt::format("left out: {}: {}", one.id, one.reason));
  return lines;
}

json::Value to_value(const LeftOutPeople& left_out) {
  json::Value others = json::Value::object();
  for (const auto& [group, count] : left_out.other_groups) others[group] = count;
  return {
      {"other_groups", others}, {"without_session", left_out.without_session}, {"left_out", bad_value(left_out.bad)}};
}

json::Value bad_value(const std::vector<data::LeftOut>& bad) {
  json::Value list = json::Value::array();
  for (const data::LeftOut& one : bad) list.push_back({{"id", one.id}, {"reason", one.reason}});
  return list;
}

void print_left_out(const data::Cohort& cohort, const std::string& session) {
  for (const std::string& line : to_lines(left_out_of(cohort, session))) fmt::print(stderr, "gabra: {}\n", line);
  std::fflush(stderr);
}

People people_of(const DataSet& data) {
  People people;
  people.task = data.cohort.task;
  people.train = {data.split.train.size(), data.train.size()};
  people.validation = {data.split.validation.size(), data.validation.size()};
  people.test = {data.split.test.size(), data.test.size()};
  people.folds = data.selection.folds;
  people.fold = data.selection.fold;
  people.left_out = left_out_of(data.cohort, data.selection.sessions);
  return people;
}

std::string to_text(const People& people) {
  const auto part = [](const People::Part& one, std::string_view unit = "") {
    const std::string count = fmt::format("{}{}", one.people, unit);
    return one.people == one.scans ? count : fmt::format("{} ({} scans)", count, one.scans);
  };
  std::string text = fmt::format("{}: {} for training, {} for validation, {} for the test", people.task.name,
                                 part(people.train, " people"), part(people.validation), part(people.test));
  if (people.folds > 0) text += fmt::format(", --fold {} of {} folds", people.fold, people.folds);
  text += "\n";
  for (const std::string& line : to_lines(people.left_out)) text += line + "\n";
  return text;
}

json::Value to_value(const People& people) {
  json::Value value{{"task", people.task.name},
                    {"classes", people.task.classes},
                    {"folds", people.folds > 0 ? json::Value(people.folds) : json::Value()},
                    {"fold", people.folds > 0 ? json::Value(people.fold) : json::Value()},
                    {"train", part_value(people.train)},
                    {"validation", part_value(people.validation)},
                    {"test", part_value(people.test)}};
  value.update(to_value(people.left_out));
  return value;
}

json::Value log_line(const People& people) {
  json::Value line{{"schema", "gabra/log/1"}, {"kind", "data"}, {"step", 0}};
  line.update(to_value(people));
  return line;
}

}  // namespace gabra::exec
