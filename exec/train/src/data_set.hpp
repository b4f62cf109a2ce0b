// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/data/cache.hpp"
#include "gabra/data/cohort.hpp"
#include "gabra/data/measures.hpp"
#include "gabra/data/split.hpp"
#include "gabra/exec/job.hpp"
#include "gabra/exec/mpi_world.hpp"
#include "gabra/json/reader.hpp"
#include "gabra/network/network.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace gabra::exec {

/// A data set that is ready: read, checked, divided, and preprocessed in the cache.
struct DataSet {
  data::Cohort cohort;
  data::Split split;
  std::unique_ptr<data::VolumeCache> cache;
  std::vector<data::Sample> train, validation, test;
  std::vector<double> class_weights;  ///< of the training part
  DataSelection selection;            ///< what was asked for
};

/// Reads and divides the data set and fills the cache, the ranks sharing the work. Rank 0 says on stderr who is left
/// out. Faults of any rank are thrown by all (InputError). Collective over all ranks.
[[nodiscard]] std::unique_ptr<DataSet> prepare_data(const DataSelection& selection, const Network& network,
                                                    std::uint64_t seed, const MpiWorld& world);

[[nodiscard]] data::CohortOptions cohort_options(const DataSelection& selection);

/// The input of a network that volumes go into; throws InputError where it is something else than [1, X, Y, Z], or
/// the output is not one number for each of `classes` (0: any).
[[nodiscard]] data::PreprocessSettings settings_for(const Network& network, std::size_t classes);

/// What a checkpoint says about the data: enough to prepare and name other scans.
[[nodiscard]] json::Value describe_data(const DataSet& data);

/// The same, read back.
struct DataDescription {
  data::Task task;
  data::PreprocessSettings settings;
  std::vector<std::string> train, validation, test;  ///< subjects
  std::int64_t folds = 0, fold = 0;                  ///< of the cross-validation; 0 without
  std::string train_scans;  ///< fingerprint of who, which session and which class, in their order; empty: older gabra
  /// "train", ..., or "new".
  [[nodiscard]] std::string part_of(const std::string& subject) const;
};
/// Throws InputError where the checkpoint `place` was trained without scans.
[[nodiscard]] DataDescription parse_data_description(const std::string& json_text, const std::string& place);

/// Measures as documents: "accuracy" and so on, "accuracy_interval" for its 95 % interval; null where undefined.
[[nodiscard]] json::Value to_value(const data::Measures& measures, const std::vector<std::string>& classes);
/// "accuracy 0.912 (0.812 to 0.961), sensitivity ...".
[[nodiscard]] std::string to_text(const data::Measures& measures);

/// All ranks throw what any of them has to report; returns if none has. Collective.
void throw_together(const MpiWorld& world, const FaultList& own);

}  // namespace gabra::exec
