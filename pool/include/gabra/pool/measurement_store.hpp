// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/plan/job_lines.hpp"
#include "gabra/plan/plan.hpp"
#include "gabra/plan/problem.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace gabra::pool {

/// What a store knows of a plan.
struct KeptMeasurement {
  MeasuredSteps measured;
  std::int64_t warm_up = 0;  ///< steps that were asked for before those that count; 0: the line does not say
};

/// Plans that were measured, in a file of one JSON object a line (gabra/measurement/1, docs/formats.md), which several
/// searches may use at once. What has to be equal for a measurement to be used again: network, cluster and profile by
/// fingerprint, training settings, plan, the job's ranks (hosts, devices, cores, hardware, threads) and the commit that
/// its program was built from.
class MeasurementStore {
 public:
  /// Reads what is there. Lines that cannot be read (cut short by a full disk, of another version) are passed over and
  /// counted. Throws InputError when the file cannot be read; a missing one is empty.
  explicit MeasurementStore(std::string path);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::size_t size() const { return known_.size(); }
  [[nodiscard]] std::size_t unreadable_lines() const { return unreadable_; }

  /// All there are of it, in the order of their lines.
  [[nodiscard]] std::span<const KeptMeasurement> find(const Problem& problem, const Plan& plan,
                                                      const JobGreeting& job) const;
  /// Appends a line, and makes the folders of the path. `now` is the time of day in seconds since 1970. Throws
  /// InputError when that fails.
  void add(const Problem& problem, const Plan& plan, const JobGreeting& job, const KeptMeasurement& measurement,
           std::int64_t now);

 private:
  std::string path_;
  std::map<std::string, std::vector<KeptMeasurement>> known_;
  std::size_t unreadable_ = 0;
};

/// "$XDG_CACHE_HOME/gabra/measurements.jsonl", else in ~/.cache; none without either.
[[nodiscard]] std::optional<std::string> default_store_path();

/// One line of a store, without its line break, and the key that find() compares.
struct StoreLine {
  std::string text;
  std::string key;
};
[[nodiscard]] StoreLine make_store_line(const Problem& problem, const Plan& plan, const JobGreeting& job,
                                        const KeptMeasurement& measurement, std::int64_t now);

}  // namespace gabra::pool
