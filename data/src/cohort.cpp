// SPDX-License-Identifier: MIT
#include "gabra/data/cohort.hpp"

#include "gabra/core/file.hpp"
#include "gabra/core/hasher.hpp"
#include "gabra/data/cache.hpp"
#include "gabra/data/participants.hpp"
#include "gabra/data/volume.hpp"
#include "scans.hpp"
#include "text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

namespace gabra::data {
namespace {

/// -1 for a group that is none of the task's classes: by name first, then by what the name usually means.
std::int64_t label_of(const Task& task, const std::string& group) {
  for (std::size_t c = 0; c < task.classes.size(); ++c)
    if (lower(task.classes[c]) == lower(group)) return static_cast<std::int64_t>(c);
  const auto meaning = known_group(group);
  std::int64_t label = -1;
  for (std::size_t c = 0; meaning && c < task.classes.size(); ++c)
    if (known_group(task.classes[c]) == meaning) {
      if (label >= 0) return -1;  // two classes mean the same ("EMCI", "LMCI"): by name only
      label = static_cast<std::int64_t>(c);
    }
  return label;
}

std::string reason_of(const std::vector<Fault>& faults) {
  std::string text = to_text(faults.front());
  if (faults.size() > 1) text += fmt::format(" (and {} more faults)", faults.size() - 1);
  return text;
}

/// One row of the table that may become a subject.
struct Candidate {
  std::size_t line = 0;
  Subject subject;
  bool has_session = true;
  std::vector<Fault> faults;
};

/// Goes through the table row by row, then through the scans, then decides who takes part.
class CohortReader {
 public:
  CohortReader(const CohortOptions& options, Task task)
      : options_(options), place_((std::filesystem::path(options.directory) / "participants.tsv").string()) {
    cohort_.directory = options.directory;
    cohort_.task = std::move(task);
    session_ = options.sessions.starts_with("ses-") ? options.sessions.substr(4) : options.sessions;
  }

  Cohort read(const VolumeCache* cache, std::size_t threads) {
    const ParticipantTable table = read_table();
    if (table.rows.empty()) faults_.throw_if_any();
    for (const Participant& row : table.rows) take(row, table.columns);
    check_session();
    check_scans(cache, threads);
    std::vector<std::int64_t> counts(cohort_.task.classes.size(), 0);
    for (Candidate& candidate : candidates_) decide(candidate, counts);
    check_classes(counts);
    faults_.throw_if_any();
    std::sort(cohort_.subjects.begin(), cohort_.subjects.end(),
              [](const Subject& a, const Subject& b) { return a.id < b.id; });
    return std::move(cohort_);
  }

 private:
  ParticipantTable read_table() {
    std::error_code error;
    if (!options_.takes_everybody || std::filesystem::exists(place_, error))
      return parse_participants(read_file(place_), place_, faults_, !options_.takes_everybody);
    // Everybody with a folder: a table that somebody might have written.
    std::string text = "participant_id\n";
    for (const std::string& id : find_people(options_.directory, faults_)) text += id + "\n";
    return parse_participants(text, options_.directory, faults_, false);
  }

  void take(const Participant& row, const std::vector<std::string>& columns) {
    Candidate candidate{.line = row.line, .subject = {}, .faults = row.faults};
    std::vector<Fault>& faults = candidate.faults;
    const std::string line = fmt::format("{}:{}", place_, row.line);
    if (row.is_repeated && faults.empty() && options_.skips_bad)
      faults.push_back({line, fmt::format("duplicate id {}", row.id), "each person once"});
    const std::int64_t label = row.group.empty() ? -1 : label_of(cohort_.task, row.group);
    const bool may_leave = label < 0 && !row.group.empty() && !options_.takes_everybody;
    if (may_leave && leaves_group(row.group, line, faults)) return;
    Subject& subject = candidate.subject;
    subject = {.id = row.id, .label = label, .age = row.age, .sex = row.sex, .columns = {}, .scans = {}};
    for (std::size_t i = 0; i < columns.size(); ++i) subject.columns[columns[i]] = row.cells[i];
    if (faults.empty()) {
      subject.scans = find_scans(options_.directory, subject.id, faults);
      candidate.has_session = choose_session(subject.scans) || !faults.empty();
    }
    candidates_.push_back(std::move(candidate));
  }

  /// True if somebody of another group is done with; an unknown group is a fault.
  bool leaves_group(const std::string& group, const std::string& line, std::vector<Fault>& faults) {
    const auto meaning = known_group(group);
    const bool is_open = !options_.classes.empty() || lower(group) == "n/a";
    if (meaning || is_open) {
      if (!faults.empty()) return false;
      ++cohort_.other_groups[meaning ? *meaning : printable(group)];
      return true;
    }
    faults.push_back({line,
                      fmt::format("unknown group {}{}", in_quotes(group),
                                  did_you_mean(group, {"AD", "NC", "CN", "MCI", "sMCI", "pMCI"})),
                      "AD, NC, MCI, sMCI, pMCI, their usual other names, or n/a; with --classes, any name"});
    return false;
  }

  /// Leaves the scans of the sessions that were asked for. False if there are none.
  bool choose_session(std::vector<Scan>& scans) {
    for (const Scan& scan : scans) sessions_.insert(scan.session);
    if (options_.sessions == "first")
      scans.resize(std::min<std::size_t>(scans.size(), 1));
    else if (options_.sessions != "all")
      std::erase_if(scans, [&](const Scan& scan) { return scan.session != session_; });
    return !scans.empty();
  }

  void check_session() {
    if (options_.sessions == "first" || options_.sessions == "all" || sessions_.contains(session_)) return;
    std::string known;
    for (const std::string& name : sessions_)
      if (!name.empty() && known.size() < 200) known += (known.empty() ? "" : ", ") + printable(name);
    is_session_unknown_ = true;
    faults_.add(
        "--sessions", in_quotes(options_.sessions),
        "first, all" + (known.empty() ? std::string("; there are no session folders") : ", or one of " + known));
  }

  void check_scans(const VolumeCache* cache, std::size_t threads) {
    std::map<std::string, std::vector<Fault>> bad;
    std::vector<std::string> paths;
    for (const Candidate& candidate : candidates_)
      for (const Scan& scan : candidate.subject.scans) paths.push_back(scan.path);
    if (cache != nullptr) {
      CacheReport report = fill_cache(*cache, paths, 0, 1, threads);
      cohort_.built = report.built;
      cohort_.reused = report.reused;
      bad = std::move(report.bad);
    } else {
      for (const std::string& path : paths) {
        try {
          (void)read_nifti_header(path);
        } catch (const InputError& error) {
          bad[path] = error.faults();
        }
      }
    }
    for (Candidate& candidate : candidates_)
      for (const Scan& scan : candidate.subject.scans)
        if (const auto found = bad.find(scan.path); found != bad.end())
          candidate.faults.insert(candidate.faults.end(), found->second.begin(), found->second.end());
  }

  void decide(Candidate& candidate, std::vector<std::int64_t>& counts) {
    const std::int64_t label = candidate.subject.label;
    const bool is_bad = !candidate.faults.empty();
    // Without skips_bad the faulty ones count too: their class is not empty.
    if (label >= 0 && (is_bad ? !options_.skips_bad : candidate.has_session)) ++counts[static_cast<std::size_t>(label)];
    if (is_bad && options_.skips_bad) {
      const std::string& id = candidate.subject.id;
      cohort_.bad.push_back({id.empty() ? fmt::format("line {}", candidate.line) : id, reason_of(candidate.faults)});
      skipped_.insert(skipped_.end(), candidate.faults.begin(), candidate.faults.end());
    } else if (is_bad) {
      for (const Fault& fault : candidate.faults) faults_.add(fault.where, fault.seen, fault.allowed);
    } else if (!candidate.has_session) {
      cohort_.without_session.push_back(candidate.subject.id);
    } else {
      cohort_.subjects.push_back(std::move(candidate.subject));
    }
  }

  void check_classes(const std::vector<std::int64_t>& counts) {
    if (options_.takes_everybody) {
      if (cohort_.subjects.empty() && faults_.empty())
        faults_.add(options_.directory, "nobody with a usable scan", "one person at least");
      return;
    }
    if (is_session_unknown_) return;  // which leaves nobody
    bool has_empty = false;
    for (std::size_t c = 0; c < counts.size(); ++c)
      if (counts[c] == 0) {
        has_empty = true;
        faults_.add(cohort_.directory,
                    fmt::format("an empty class: no usable subject of group {}", in_quotes(cohort_.task.classes[c])),
                    "at least one subject of each class");
      }
    if (!has_empty) return;
    for (const Fault& fault : skipped_) faults_.add(fault.where, fault.seen, fault.allowed);  // this may be why
  }

  const CohortOptions& options_;
  std::string place_;
  std::string session_;
  Cohort cohort_;
  std::vector<Candidate> candidates_;
  std::set<std::string> sessions_;  ///< seen anywhere
  bool is_session_unknown_ = false;
  std::vector<Fault> skipped_;  ///< of those who are left out for them
  FaultList faults_;
};

}  // namespace

Cohort read_cohort(const CohortOptions& options, const VolumeCache* cache, std::size_t threads) {
  FaultList faults;
  Task task = make_task(options.task, options.classes, faults);
  std::error_code error;
  if (!std::filesystem::is_directory(options.directory, error))
    faults.add(
        options.directory.empty() ? "--data" : options.directory,
        error && std::filesystem::exists(options.directory, error) ? "a folder that cannot be read" : "no such folder",
        "a folder with participants.tsv and sub-*/[ses-*/]anat/*_T1w.nii.gz");
  faults.throw_if_any();
  return CohortReader(options, std::move(task)).read(cache, threads);
}

std::vector<Sample> samples_of(const Cohort& cohort, std::span<const std::size_t> subjects) {
  std::vector<Sample> samples;
  for (const std::size_t index : subjects) {
    const Subject& subject = cohort.subjects[index];
    for (std::size_t i = 0; i < subject.scans.size(); ++i) {
      Hasher key;
      key.add(std::string_view(subject.id));
      key.add(std::string_view(subject.scans[i].session));
      samples.push_back(
          {.subject = index, .scan = i, .label = subject.label, .key = key.value(), .path = subject.scans[i].path});
    }
  }
  return samples;
}

std::vector<Sample> samples_of(const Cohort& cohort) {
  std::vector<std::size_t> all(cohort.subjects.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  return samples_of(cohort, all);
}

}  // namespace gabra::data
