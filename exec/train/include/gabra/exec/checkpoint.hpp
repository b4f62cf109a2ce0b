// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/tensor_file.hpp"
#include "gabra/network/network.hpp"
#include "gabra/plan/problem.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace gabra::exec {

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
  std::string data;      ///< JSON text about the data: task, classes, preparation; "null" for synthetic samples
  std::string measures;  ///< JSON text: of the validation part after the epoch; "null" without
  std::string file;      ///< the tensors', in the same folder
  FileDigest digest;     ///< of that file
};

[[nodiscard]] std::string to_json_text(const CheckpointInfo& info);
/// Throws InputError with every fault; `name` is the file's.
[[nodiscard]] CheckpointInfo parse_checkpoint(std::string_view json_text, const std::string& name);

/// A checkpoint that was read: parameters, running statistics, and the optimizer's state under "optimizer/".
struct Checkpoint {
  CheckpointInfo info;
  std::string path;  ///< of the .json file
  std::vector<NamedTensor> tensors;
};
inline constexpr std::string_view kOptimizerPrefix = "optimizer/";

/// Reads NAME.json, or NAME.pt with NAME.json beside it, or the best (else the newest) of a folder, and checks it.
/// Throws InputError.
[[nodiscard]] Checkpoint read_checkpoint(const std::string& path);

/// The checkpoints of one training: step-000123.pt and .json, and best.pt and .json. One process writes.
class CheckpointFolder {
 public:
  /// `kept`: the newest so many stay.
  CheckpointFolder(std::string folder, std::int64_t kept) : folder_(std::move(folder)), kept_(kept) {}

  /// Removes what a killed process left half-written.
  void clean() const;
  /// Writes step-STEP, the tensors first, each file whole or not at all; then removes the oldest. Throws Error.
  void write(CheckpointInfo info, std::span<const NamedTensor> tensors) const;
  /// Writes best.pt and best.json, over those of before.
  void write_best(CheckpointInfo info, std::span<const NamedTensor> tensors) const;
  /// The newest that is whole; damaged ones are reported on stderr and passed over. None: there is no checkpoint.
  /// Throws InputError when all are damaged.
  [[nodiscard]] std::optional<Checkpoint> read_newest() const;

 private:
  void write_as(const std::string& stem, CheckpointInfo info, std::span<const NamedTensor> tensors) const;
  [[nodiscard]] std::vector<std::string> stems() const;

  std::string folder_;
  std::int64_t kept_;
};

/// The tensors of `given` that `state` asks for, in the order of `state` and with its names. Names that agree are
/// matched; where they do not, as between PyTorch's modules and gabra's layers, tensors are matched in their order by
/// the last part of the name (weight, bias, running_mean, ...), num_batches_tracked left out, and all shapes must
/// agree. Throws InputError naming `place`, with what does not fit, for weights of another network.
[[nodiscard]] std::vector<NamedTensor> match_weights(const std::vector<NamedTensor>& given,
                                                     const std::vector<StateEntry>& state, const std::string& place);

}  // namespace gabra::exec
