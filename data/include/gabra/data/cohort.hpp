// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/error.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gabra::data {

class VolumeCache;

/// What is told apart. Label = index in `classes`; the last class is the positive one (sensitivity is its recall).
struct Task {
  std::string name{};
  std::vector<std::string> classes{};  ///< {"NC", "AD"}, {"sMCI", "pMCI"}, or as given
};

/// `ad-nc`, `smci-pmci`, or, with `classes` given (two or more, different but for case), those. Adds faults for an
/// unknown name or bad classes.
[[nodiscard]] Task make_task(const std::string& name, const std::vector<std::string>& classes, FaultList& faults);

/// "AD", "NC", "MCI", "sMCI", "pMCI" for their usual names in any case (see data/README.md), else nothing.
[[nodiscard]] std::optional<std::string> known_group(std::string_view text);

/// One T1-weighted scan.
struct Scan {
  std::string session{};  ///< "M12" of ses-M12; "" without session folders
  std::string path{};
};

/// One person of the task.
struct Subject {
  std::string id{};                              ///< "sub-001"
  std::int64_t label = 0;                        ///< -1: no class of the task (with takes_everybody only)
  std::optional<double> age{};                   ///< years
  std::string sex{};                             ///< as written; "" for n/a
  std::map<std::string, std::string> columns{};  ///< all other columns, as written
  std::vector<Scan> scans{};                     ///< in the order of sessions
};

/// Somebody of the table who does not take part, and why.
struct LeftOut {
  std::string id{};
  std::string reason;
};

struct CohortOptions {
  std::string directory{};
  std::string task = "ad-nc";
  std::vector<std::string> classes{};  ///< instead of the task's
  std::string sessions = "first";      ///< "first", "all", or a session's name with or without "ses-"
  bool skips_bad = false;              ///< subjects with faults are left out instead
  /// For prediction: subjects of other, unknown and no groups take part with label -1, classes may be empty, and the
  /// group column or the whole table may be missing (then everybody with a folder takes part).
  bool takes_everybody = false;
};

/// The people of a BIDS-like folder who belong to a task, ordered by id.
struct Cohort {
  std::string directory{};
  Task task;
  std::vector<Subject> subjects{};
  std::vector<LeftOut> bad{};                          ///< with skips_bad: left out for faults
  std::map<std::string, std::int64_t> other_groups{};  ///< subjects of groups outside the task, by group
  std::vector<std::string> without_session{};          ///< ids of those who lack the session that was asked for
  std::int64_t built = 0;                              ///< scans that the cache did not have
  std::int64_t reused = 0;                             ///< scans that it had
};

/// Reads participants.tsv, finds the scans and checks them: their headers alone, or, with `cache`, everything, by
/// filling the cache in `threads` threads. Throws InputError with all faults at once: no folder or table, a malformed
/// table (columns missing or twice, rows of another length, ages), unknown group, duplicate id, missing scan, a scan
/// that read_nifti() refuses, empty class. With skips_bad, faults of single subjects leave them out; faults of the
/// table as a whole and empty classes remain, the latter with the faults that others were left out for. Throws
/// CacheError if the cache cannot be written.
///
/// Training calls it on one rank with the cache, then on the others without.
[[nodiscard]] Cohort read_cohort(const CohortOptions& options, const VolumeCache* cache = nullptr,
                                 std::size_t threads = 1);

/// One scan as the network sees it.
struct Sample {
  std::size_t subject = 0;  ///< index into Cohort::subjects
  std::size_t scan = 0;     ///< index into Subject::scans
  std::int64_t label = 0;   ///< the subject's
  std::uint64_t key = 0;    ///< hash of subject id and session: the key of random numbers
  std::string path{};
};

/// All scans of the subjects given (indices), in that order.
[[nodiscard]] std::vector<Sample> samples_of(const Cohort& cohort, std::span<const std::size_t> subjects);
/// All scans of the cohort.
[[nodiscard]] std::vector<Sample> samples_of(const Cohort& cohort);

}  // namespace gabra::data
