// SPDX-License-Identifier: MIT
#include "gabra/calibration/tables.hpp"

#include "gabra/core/error.hpp"

#include "bus_bandwidth.hpp"
#include "nccl_columns.hpp"
#include "table_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>

namespace gabra {
namespace {

using detail::BusFactor;
using detail::NcclColumns;
using detail::NcclRow;

/// A line "#  Rank N Group G Pid P on HOST device D [...] NAME".
struct RankLine {
  std::string place;
  int rank = 0;
  std::string group;
  std::string host;
  int device = 0;
};

/// One run of one test: from what it prints first to its last row.
struct Run {
  std::string place;    ///< of its first line
  std::string program;  ///< "all_reduce_perf", where something names it
  std::vector<RankLine> ranks;
  std::optional<NcclColumns> columns;
  std::vector<NcclRow> rows;
  bool has_rows = false;   ///< faulty ones too
  bool is_faulty = false;  ///< beyond its rows
};

std::optional<int> whole_number(std::string_view word) {
  int number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error != std::errc() || end != word.data() + word.size() || number < 0) return std::nullopt;
  return number;
}

bool is_whole(std::string_view word) { return word.find_first_not_of("0123456789") == std::string_view::npos; }

/// Without what launchers put before each line: "[1,0]<stdout>:" (mpirun --tag-output), "0: " (srun --label).
std::string_view without_label(std::string_view line) {
  constexpr std::string_view kDigits = "0123456789";
  constexpr std::size_t kLongest = 20;
  for (const std::string_view tag : {"]<stdout>:", "]<stderr>:"})
    if (const std::size_t at = line.find(tag); line.starts_with('[') && at < kLongest)
      return detail::trimmed(line.substr(at + tag.size()));
  if (const std::size_t at = line.find_first_not_of(kDigits); at > 0 && at < line.size() && line[at] == ':')
    if (line.substr(at + 1).starts_with(' ')) return detail::trimmed(line.substr(at + 1));
  return line;
}

/// The last of the tests' programs that `line` names: "mpirun -np 8 build/all_reduce_perf -b 8".
std::string program_in(std::string_view line) {
  constexpr std::array kTests{"all_reduce", "sendrecv",  "all_gather", "reduce_scatter", "broadcast", "reduce",
                              "alltoall",   "alltoallv", "gather",     "scatter",        "hypercube"};
  constexpr std::string_view kEnding = "_perf";
  for (std::size_t at = line.rfind(kEnding); at != std::string_view::npos && at > 0; at = line.rfind(kEnding, at - 1)) {
    const std::size_t before = line.substr(0, at).find_last_not_of("abcdefghijklmnopqrstuvwxyz_");
    const std::string_view test = line.substr(before + 1, at - before - 1);
    if (std::find(kTests.begin(), kTests.end(), test) != kTests.end()) return std::string(test) + "_perf";
  }
  return {};
}

class NcclReader {
 public:
  NcclReader(const std::string& name, FaultList& faults) : name_(name), faults_(faults) {}

  void read(std::string_view line, std::size_t number) {
    line = without_label(line);
    place_ = fmt::format("{}:{}", name_, number);
    const std::vector<std::string_view> words = detail::words_of(line);
    if (words.empty()) return;
    if (line.front() == '#') {
      read_comment(words, line);
    } else if (is_whole(words[0]) || (run_.columns && run_.columns->looks_like_row(words))) {
      read_row(words);
    } else if (std::string program = program_in(line); !program.empty()) {
      begin_run();
      run_.program = std::move(program);
    }
  }

  CommunicationTables finish() {
    begin_run();
    for (Run& run : runs_) finish(run);
    if (result_.tables.empty() && faults_.empty())
      faults_.add(name_, others_.empty() ? "no row of measurements" : fmt::format("the output of {}", others_),
                  "rows of all_reduce_perf or sendrecv_perf below their header");
    faults_.throw_if_any();
    return std::move(result_);
  }

 private:
  /// What is read from here on belongs to another run, if the last one came to its header; one without rows is dropped.
  void begin_run() {
    if (run_.columns && run_.has_rows) runs_.push_back(std::move(run_));
    if (run_.columns) run_ = {};
    if (run_.place.empty()) run_.place = place_;
  }

  void read_comment(std::vector<std::string_view> words, std::string_view line) {
    words.front().remove_prefix(1);
    if (words.front().empty()) words.erase(words.begin());
    if (words.empty()) return;
    const auto has = [&words](std::string_view word) {
      return std::find(words.begin(), words.end(), word) != words.end();
    };
    if (words[0] == "Rank") return read_rank(words);
    if (has("algbw") && has("busbw")) return read_header(words);
    if (has("out-of-place") || has("in-place")) {
      sides_.clear();
      for (const std::string_view word : words)
        if (word == "out-of-place" || word == "in-place") sides_.emplace_back(word);
    } else if (words[0] == "(B)" && run_.columns) {
      run_.columns->read_units(words, place_, faults_);
    } else if (line.find("Out of bounds values") != std::string_view::npos && has("FAILED")) {
      result_.warnings.push_back(place_ + ": the test found wrong results (" + std::string(line) + ")");
    } else if (line.find("test starting") != std::string_view::npos) {
      begin_run();
      run_.program = words.back();
    } else if (words[0] == "nThread" || words[0] == "nccl-tests" || words[0] == "Using") {
      begin_run();
    }
  }

  void read_rank(const std::vector<std::string_view>& words) {
    const auto after = [&words](std::string_view word) -> std::string_view {
      const auto found = std::find(words.begin(), words.end(), word);
      return found == words.end() || found + 1 == words.end() ? std::string_view() : *(found + 1);
    };
    const auto rank = whole_number(after("Rank"));
    const auto device = whole_number(after("device"));
    if (!rank || !device) {
      run_.is_faulty = true;
      faults_.add(place_, "a line of a rank without its number and device", "\"#  Rank N ... on HOST device N ...\"");
      return;
    }
    // Lines of other machines may come late, even after the header.
    const bool is_known =
        std::any_of(run_.ranks.begin(), run_.ranks.end(), [&](const RankLine& line) { return line.rank == *rank; });
    if (is_known || run_.ranks.empty()) begin_run();
    run_.ranks.push_back({place_, *rank, std::string(after("Group")), std::string(after("on")), *device});
  }

  void read_header(const std::vector<std::string_view>& words) {
    if (run_.has_rows) begin_run();
    // Processes that do not know of each other print a header each.
    if (!run_.columns) run_.columns = NcclColumns::from_header(words, sides_, place_, faults_);
  }

  void read_row(const std::vector<std::string_view>& words) {
    if (!run_.columns || words.front() == "0") return;  // a size of nothing says nothing
    run_.has_rows = true;
    if (auto row = run_.columns->read_row(words, place_, faults_)) run_.rows.push_back(std::move(*row));
  }

  void finish(Run& run) {
    if (!run.columns) return;
    run.columns->check_rows(run.rows, faults_);
    if (run.rows.empty() || run.is_faulty) return;
    CommunicationTable table{.place = run.columns->place(), .test = {}, .devices = 0, .ranks = {}, .rows = {}};
    if (!read_ranks(run, table)) return;
    const auto test = test_of(run, table.devices);
    if (!test) return;
    table.test = *test;
    if (!find_devices(run, table) || !check_bandwidths(run, table)) return;
    if (run.columns->has_only_in_place())
      result_.warnings.push_back(table.place + ": times are of all-reduces in place, no others are there");
    for (const NcclRow& row : run.rows) table.rows.push_back({row.bytes, row.seconds});
    result_.tables.push_back(std::move(table));
  }

  bool read_ranks(Run& run, CommunicationTable& table) {
    const auto fault = [&](const std::string& place, const std::string& seen, const char* allowed) {
      faults_.add(place, seen, allowed);
      return false;
    };
    std::stable_sort(run.ranks.begin(), run.ranks.end(), [](const auto& a, const auto& b) { return a.rank < b.rank; });
    std::vector<std::string> hosts;
    std::set<std::string> groups;
    std::vector<std::set<int>> devices;  // by host
    for (std::size_t i = 0; i < run.ranks.size(); ++i) {
      const RankLine& line = run.ranks[i];
      const auto expected = static_cast<int>(i);
      if (line.rank < expected)
        return fault(line.place, fmt::format("rank {} twice: processes that do not know of each other", line.rank),
                     "a test of all ranks together, for which nccl-tests is built with MPI=1");
      if (line.rank > expected)
        return fault(line.place, fmt::format("no line of rank {}, but of rank {}", expected, line.rank),
                     "a line for every rank");
      auto host = std::find(hosts.begin(), hosts.end(), line.host);
      if (host == hosts.end()) {
        devices.emplace_back();
        host = hosts.insert(hosts.end(), line.host);
      }
      const auto machine = static_cast<std::size_t>(host - hosts.begin());
      devices[machine].insert(line.device);
      table.ranks.push_back({static_cast<int>(machine), line.device});
      groups.insert(line.group);
    }
    if (groups.size() > 1)
      return fault(run.place, fmt::format("{} groups of ranks that ran at once", groups.size()),
                   "a test of all ranks together");
    if (run.ranks.size() == 1) return fault(run.ranks[0].place, "one rank", "at least two");
    // Where each rank sees its own device only, all are called 0.
    std::vector<int> next(hosts.size(), 0);
    for (RankPlace& rank : table.ranks) {
      const auto machine = static_cast<std::size_t>(rank.machine);
      const auto count = std::count_if(table.ranks.begin(), table.ranks.end(),
                                       [&](const RankPlace& other) { return other.machine == rank.machine; });
      if (devices[machine].size() < static_cast<std::size_t>(count)) rank.device = next[machine]++;
    }
    table.devices = static_cast<int>(run.ranks.size());
    return true;
  }

  /// Nothing for tests that are left out, and after faults.
  std::optional<CommunicationTest> test_of(const Run& run, int devices) {
    if (run.program.find("all_reduce") != std::string::npos) return CommunicationTest::AllReduce;
    if (run.program.find("sendrecv") != std::string::npos) return CommunicationTest::SendReceive;
    const auto factor = detail::bus_factor(run.rows);
    const bool is_other = run.columns->is_other_collective(run.rows) || !run.program.empty();
    // Only sendrecv_perf cannot check its results in place.
    const bool is_unchecked = run.columns->is_unchecked_in_place(run.rows) || !run.columns->has_operation();
    if (!is_other && (!factor || factor->is(1.0)) && (is_unchecked || (factor && devices > 2)))
      return CommunicationTest::SendReceive;
    const bool is_sum = run.columns->has_operation() && !is_other;
    if (is_sum && (!factor || factor->value > 1.0 - factor->rounding || is_multicast(*factor, devices))) {
      if (devices <= 2 && (!factor || factor->is(1.0)))
        result_.warnings.push_back(run.columns->place() +
                                   ": nothing names the test; between two ranks all-reduces and messages look alike, "
                                   "it is taken for all_reduce_perf");
      return CommunicationTest::AllReduce;
    }
    leave_out(run, run.program.empty() ? "a test that is neither all_reduce_perf nor sendrecv_perf" : run.program);
    return std::nullopt;
  }

  void leave_out(const Run& run, const std::string& what) {
    others_ += (others_.empty() ? "" : ", ") + what;
    result_.warnings.push_back(run.columns->place() + ": " + what + " is left out");
  }

  /// NCCL's tests count so where NCCL_ALGO asks for the sums of an NVSwitch.
  static bool is_multicast(const BusFactor& factor, int devices) {
    return devices > 1 && factor.is((devices - 1.0) / (devices + 1.0));
  }

  /// Finds the number of ranks where they are not listed.
  bool find_devices(const Run& run, CommunicationTable& table) {
    if (table.devices > 0) return true;
    const auto fault = [&](const std::string& seen) {
      faults_.add(table.place, "no ranks, and " + seen,
                  "lines \"#  Rank N ... on HOST device N\" for each of at least two ranks");
      return false;
    };
    if (table.test == CommunicationTest::SendReceive) {
      table.devices = 2;
      result_.warnings.push_back(table.place + ": no ranks are listed; taken for messages between two of one machine");
      return true;
    }
    const auto factor = detail::bus_factor(run.rows);
    if (!factor) return fault("bandwidths that do not tell how many");
    const auto range = detail::ranks_of(*factor);
    if (!range)
      return fault(fmt::format("bus bandwidths {:.3f} times the algorithm's, which no number has", factor->value));
    if (range->first < range->second) return fault(fmt::format("bandwidths of {} to {}", range->first, range->second));
    table.devices = range->first;
    result_.warnings.push_back(
        fmt::format("{}: no ranks are listed; taken for {}, since bus bandwidths are {:.3f} times the algorithm's",
                    table.place, table.devices, factor->value));
    return true;
  }

  /// Bus bandwidths have to be those of so many ranks.
  bool check_bandwidths(const Run& run, const CommunicationTable& table) {
    const auto factor = detail::bus_factor(run.rows);
    if (!factor) return true;
    const bool is_message = table.test == CommunicationTest::SendReceive;
    double expected = is_message ? 1.0 : detail::ring_factor(table.devices);
    if (!is_message && is_multicast(*factor, table.devices)) expected = factor->value;
    const auto is_right = [&](const NcclRow& row) { return row.factor().is(expected); };
    const auto count =
        std::count_if(run.rows.begin(), run.rows.end(), [&](const NcclRow& row) { return !is_right(row); });
    if (count == 0) return true;
    const std::string allowed = fmt::format("{:.3f} times as much, as {} ranks have", expected, table.devices);
    const bool is_all = std::none_of(run.rows.begin(), run.rows.end(), [&](const NcclRow& row) {
      return is_right(row) && row.factor().rounding <= factor->rounding;
    });
    if (count > 1 && is_all) {
      faults_.add(table.place, fmt::format("bus bandwidths {:.3f} times the algorithm bandwidths", factor->value),
                  allowed);
      return false;
    }
    for (const NcclRow& row : run.rows)
      if (!is_right(row) && row.is_consistent)
        faults_.add(row.place,
                    fmt::format("a bus bandwidth of {:g} GB/s beside an algorithm bandwidth of {:g} GB/s",
                                row.bus.value, row.algorithm.value),
                    allowed);
    return false;
  }

  const std::string& name_;
  FaultList& faults_;
  std::string place_;  // of the line that is read
  std::vector<std::string> sides_;
  Run run_;
  std::vector<Run> runs_;
  std::string others_;
  CommunicationTables result_;
};

}  // namespace

CommunicationTables parse_nccl_tests(std::string_view text, const std::string& name) {
  FaultList faults;
  NcclReader reader(name, faults);
  detail::for_each_line(text, [&](std::string_view line, std::size_t number) { reader.read(line, number); });
  return reader.finish();
}

}  // namespace gabra
