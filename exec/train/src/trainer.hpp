// SPDX-License-Identifier: MIT
#pragma once

#include "data_set.hpp"
#include "evaluation.hpp"
#include "gabra/exec/checkpoint.hpp"
#include "gabra/exec/interpreter.hpp"
#include "gabra/exec/rank_device.hpp"
#include "gabra/exec/train.hpp"
#include "learning_rate.hpp"
#include "progress_bar.hpp"
#include "run_log.hpp"
#include "sample_sources.hpp"
#include "train_summary.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace gabra::exec {

/// One rank's part of a training, step after step.
class Trainer {
 public:
  /// Reads the checkpoint to resume from, prepares data, device and model. Collective.
  Trainer(const TrainJob& job, const Program& program, const MpiWorld& world, Monitor& monitor);
  ~Trainer();

  /// Trains to the end. What to print, at rank 0.
  std::string run();

 private:
  /// Where the training stands.
  struct Position {
    std::int64_t step = 0;           ///< done
    std::int64_t step_of_epoch = 0;  ///< done in the current epoch
    double loss_of_epoch = 0.0;      ///< sum over those
    [[nodiscard]] std::int64_t epochs(std::int64_t steps_per_epoch) const { return step / steps_per_epoch; }
  };

  [[nodiscard]] bool is_root() const { return world_.rank() == 0; }
  [[nodiscard]] std::optional<Checkpoint> read_start();
  void find_start(std::optional<Checkpoint>& found, FaultList& faults);
  void check_samples(const std::optional<Checkpoint>& checkpoint) const;
  [[nodiscard]] std::vector<std::int64_t> own_loads() const;
  void make_samples();
  void make_model();
  void start_from(const std::optional<Checkpoint>& checkpoint);
  void load_weights();
  void say_what_is_not_done(const std::optional<Checkpoint>& checkpoint) const;
  void set_length();

  void run_one_step();
  void check_loss(double loss, const std::optional<double>& gradient_norm) const;
  void check_state(const std::string& not_finite) const;
  [[noreturn]] void stop(const std::string& reason) const;
  void log_step(const StepResult& result, double loss, double seconds);
  void end_epoch();
  void evaluate_parts();
  void write_trace(const std::vector<Timeline::Span>& spans);
  void write_checkpoint();
  [[nodiscard]] CheckpointInfo checkpoint_info() const;
  void keep_best(WholeNetwork& whole);
  [[nodiscard]] std::vector<std::int64_t> gather_numbers(std::int64_t own) const;
  void collect_memory();
  [[nodiscard]] std::string finish(double elapsed_s);

  const TrainJob& job_;
  const Program& program_;
  const MpiWorld& world_;
  Monitor& monitor_;
  const Network& network_;
  CheckpointFolder folder_;
  std::uint64_t seed_ = 0;
  Position position_;
  TrainingLength length_;
  std::unique_ptr<DataSet> data_;
  std::unique_ptr<SampleSourceBase> samples_;
  RankDevice rank_;
  std::optional<Monitor::Watching> watching_;  // of the device
  std::unique_ptr<Interpreter> interpreter_;
  std::unique_ptr<RunLog> log_;       // at rank 0
  std::unique_ptr<ProgressBar> bar_;  // at rank 0
  std::string samples_text_;          // as RunSettings has it
  std::string data_description_ = "null";
  std::optional<double> best_loss_;  // at rank 0
  std::int64_t trace_step_ = 0;
  std::int64_t evaluated_step_ = -1;
  std::int64_t checkpoint_step_ = -1;
  std::vector<std::string> classes_;
  TrainSummary summary_;
};

}  // namespace gabra::exec
