// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/job.hpp"
#include "gabra/exec/tensor_file.hpp"
#include "gabra/network/network.hpp"
#include "gabra/plan/problem.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace gabra::exec {

/// How a run goes on, beyond network, plan and seed: whatever its weights depend on, so that --resume can refuse what
/// would not end with the bits of a run that was never interrupted.
struct RunSettings {
  std::int64_t micro_batches = 1;
  UpdateSettings update;
  std::int64_t steps = 1;  ///< of the whole run: the cosine's length
  std::string samples;     ///< "scans", "augmented scans", "synthetic", or "batch file " and its CRC-32
};

/// What a checkpoint says beside its tensors (gabra/checkpoint/1, docs/formats.md): enough to go on with the training
/// by any plan of the network, and to predict.
struct CheckpointInfo {
  std::int64_t step = 0;           ///< updates done
  std::int64_t epoch = 0;          ///< whole epochs done
  std::int64_t step_of_epoch = 0;  ///< updates done in the epoch after those
  double loss_of_epoch = 0.0;      ///< sum of the losses of those
  std::uint64_t seed = 0;
  std::shared_ptr<const Network> network;
  TrainingSettings training;
  std::optional<RunSettings> run;  ///< none: of an older gabra
  std::string data;      ///< JSON text about the data: task, classes, preparation; "null" for synthetic samples
  std::string measures;  ///< JSON text: of the validation part after the epoch; "null" without
  std::string file;      ///< the tensors', in the same folder
  FileDigest digest;     ///< of that file
};

[[nodiscard]] std::string to_json_text(const CheckpointInfo& info);
/// Throws InputError with every fault; `name` is the file's.
[[nodiscard]] CheckpointInfo parse_checkpoint(std::string_view json_text, const std::string& name);
/// The loss on the validation part that `info` was written with; none where it was not evaluated or is no number.
[[nodiscard]] std::optional<double> validation_loss(const CheckpointInfo& info);

/// A checkpoint that was read: parameters, running statistics, and the optimizer's state under "optimizer/".
struct Checkpoint {
  CheckpointInfo info;
  std::string path;  ///< of the .json file
  std::vector<NamedTensor> tensors;
};
inline constexpr std::string_view kOptimizerPrefix = "optimizer/";

/// Reads NAME.json, or NAME.pt that NAME.json (best.json for best-STEP.pt) speaks of, or the best (else the newest) of
/// a folder, and checks it. Of a folder damaged ones are reported on stderr and passed over. Throws InputError.
[[nodiscard]] Checkpoint read_checkpoint(const std::string& path);

/// The checkpoints of one training: step-000123.pt and .json, and best.json with best-000120.pt. One process writes.
class CheckpointFolder {
 public:
  /// `kept`: the newest so many stay.
  CheckpointFolder(std::string folder, std::int64_t kept) : folder_(std::move(folder)), kept_(kept) {}

  ~CheckpointFolder();
  CheckpointFolder(const CheckpointFolder&) = delete;
  CheckpointFolder& operator=(const CheckpointFolder&) = delete;

  /// Until this object ends (or its process, however that ends) no other training can lock the folder. Throws
  /// InputError when another one has, or the folder cannot be written.
  void lock();
  /// Removes what a killed process left half-written.
  void clean() const;
  /// Writes step-STEP, the tensors first, each file whole or not at all; then removes the oldest of those up to STEP.
  /// Returns the tensors' file. Throws Error.
  std::string write(CheckpointInfo info, std::span<const NamedTensor> tensors) const;
  /// Writes best-STEP.pt, then best.json, which speaks of the best before until it is replaced; then removes the
  /// tensors of that. Returns the tensors' file.
  std::string write_best(CheckpointInfo info, std::span<const NamedTensor> tensors) const;
  /// What best.json says. None where there is no such file, or it is damaged, which is reported on stderr.
  [[nodiscard]] std::optional<CheckpointInfo> read_best_info() const;

  /// What becomes of damaged checkpoints that are passed over. SetAside: once a whole one is found they are renamed
  /// (.damaged), so that they are not taken for the newest again.
  enum class Damaged : std::uint8_t { Stay, SetAside };
  /// The newest that is whole; damaged ones are reported on stderr and passed over. None: there is no checkpoint.
  /// Throws InputError when all are damaged.
  [[nodiscard]] std::optional<Checkpoint> read_newest(Damaged damaged) const;

 private:
  std::string write_as(const std::string& stem, CheckpointInfo info, std::span<const NamedTensor> tensors) const;
  [[nodiscard]] std::vector<std::string> stems() const;
  void set_aside(const std::string& stem) const;

  std::string folder_;
  std::int64_t kept_;
  int lock_ = -1;
};

/// The tensors of `given` that `state` asks for, in the order of `state` and with its names. Names that agree are
/// matched; where they do not, as between PyTorch's modules and gabra's layers, tensors are matched in their order by
/// the last part of the name (weight, bias, running_mean, ...), num_batches_tracked left out, and all shapes must
/// agree. Throws InputError naming `place`, with what does not fit, for weights of another network.
[[nodiscard]] std::vector<NamedTensor> match_weights(const std::vector<NamedTensor>& given,
                                                     const std::vector<StateEntry>& state, const std::string& place);

}  // namespace gabra::exec
