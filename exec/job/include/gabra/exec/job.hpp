// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/units.hpp"
#include "gabra/plan/plan_file.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gabra::exec {

enum class Hardware : std::uint8_t { Cpu, Cuda };

/// How the learning rate changes over the steps of a training, after a linear warm-up.
enum class LearningRateRule : std::uint8_t {
  Constant,
  Cosine,  ///< falls to 0 at the last step along half a cosine
  Step,    ///< times `factor` every `epochs_per_step` epochs
};

struct LearningRate {
  double base = 1e-3;
  LearningRateRule rule = LearningRateRule::Constant;
  std::int64_t warmup_steps = 0;  ///< steps 1 .. warmup_steps rise linearly to `base`
  std::int64_t epochs_per_step = 10;
  double factor = 0.1;
};

/// Which volumes of a data set, and how they are prepared and divided.
struct DataSelection {
  std::string folder;                ///< BIDS-like: participants.tsv, sub-*/...
  std::string task;                  ///< "ad-nc", "smci-pmci"; or empty, with `classes`
  std::vector<std::string> classes;  ///< groups of participants.tsv, the positive class last
  std::string sessions = "first";    ///< "first", "all", or the name of one
  std::int64_t folds = 0;            ///< 0: one split into train, validation and test
  std::int64_t fold = 0;             ///< counted from 0
  bool trains_all_folds = false;     ///< one training after the other; `fold` means nothing then
  bool is_augmented = false;
  bool skips_bad = false;
  std::string cache_folder;  ///< of preprocessed volumes; empty: beside the data set
};

/// Where samples come from: exactly one of the three.
struct SampleSource {
  std::optional<DataSelection> data;
  bool is_synthetic = false;  ///< random samples for any network
  std::string batch_file;     ///< a .pt file with {data, target}: every step trains on it
};

/// What the optimizer does beyond the plan's choice of it.
struct UpdateSettings {
  LearningRate learning_rate;
  double momentum = 0.9;
  double weight_decay = 0.0;
};

struct CheckpointSettings {
  std::string folder;                 ///< empty: no checkpoints
  bool resumes = false;               ///< from the newest whole one in `folder`, if there is one
  std::optional<std::int64_t> every;  ///< steps; none: at the end of every epoch
  std::int64_t kept = 3;              ///< the newest so many; the best is kept besides
};

/// One training, as `gabra train` is asked for it.
struct TrainJob {
  std::string plan_path;
  PlanFile plan;
  std::string samples_name = "samples";  ///< for people: "volumes"
  SampleSource samples;
  std::optional<std::int64_t> epochs;  ///< at least one of the two; the first that is reached ends it
  std::optional<std::int64_t> steps;
  UpdateSettings update;
  std::optional<std::uint64_t> seed;  ///< none: the checkpoint's on resuming, else 0
  CheckpointSettings checkpoints;
  std::string weights_file;  ///< to start from; empty: random
  Hardware hardware = Hardware::Cpu;
  std::int64_t threads_per_rank = 1;
  Seconds timeout{600.0};  ///< a transfer without progress for so long is a failure
  std::string log_file;    ///< empty: log.jsonl in the folder of checkpoints, if there is one
  std::string trace_file;  ///< empty: none
  bool is_json = false;    ///< one document on stdout in place of the summary
  bool is_quiet = false;   ///< no progress on stderr
};

/// `gabra predict`.
struct PredictJob {
  std::string checkpoint;             ///< .pt, .json, or a folder of checkpoints
  std::optional<DataSelection> data;  ///< either this
  std::vector<std::string> volumes;   ///< or these
  std::string table_file;             ///< TSV; empty: none
  std::int64_t threads = 1;
  Hardware hardware = Hardware::Cpu;
  bool is_json = false;
};

/// `gabra explain`.
struct ExplainJob {
  std::string checkpoint;
  std::string volume;
  std::optional<std::string> class_name;  ///< a class's name or number; none: the predicted one
  std::optional<std::string> layer;       ///< whose output; none: the last map before the head
  std::string heat_file;                  ///< NIfTI, in the volume's space
  std::string picture_file;               ///< PNG; empty: none
  std::int64_t threads = 1;
  Hardware hardware = Hardware::Cpu;
  bool is_json = false;
};

}  // namespace gabra::exec
