// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/data/cache.hpp"
#include "gabra/data/cohort.hpp"
#include "gabra/data/preprocess.hpp"

#include <cstdint>
#include <memory>
#include <vector>

namespace gabra::data {

/// Which samples are in which step of an epoch. Depends on (seed, epoch) alone, never on the plan.
class SampleOrder {
 public:
  /// `samples` > 0, `global_batch` > 0. Shuffled: steps() = samples / global_batch, and the samples that are left over
  /// (others in each epoch) are not seen; with fewer samples than a batch there is one step, in which samples repeat.
  /// Not shuffled (evaluation): in order, the last batch filled up with the last sample; valid() says how many count.
  SampleOrder(std::int64_t samples, std::int64_t global_batch, bool shuffles, std::uint64_t seed);

  [[nodiscard]] std::int64_t steps() const { return steps_; }
  [[nodiscard]] std::int64_t global_batch() const { return global_batch_; }
  /// Indices of the samples of one global batch, always global_batch() of them. Micro-batch m of size b is
  /// [m b, (m + 1) b) of it.
  [[nodiscard]] std::vector<std::int64_t> batch(std::int64_t epoch, std::int64_t step) const;
  /// How many of them, from the front, are real: global_batch() but for the last step of an evaluation.
  [[nodiscard]] std::int64_t valid(std::int64_t step) const;

 private:
  std::int64_t samples_, global_batch_, steps_;
  bool shuffles_;
  std::uint64_t seed_;
};

/// One micro-batch, in memory that may be wrapped by a tensor.
struct LoadedBatch {
  std::vector<float> voxels;          ///< [n, 1, X, Y, Z]
  std::vector<std::int64_t> labels;   ///< [n]
  std::vector<std::int64_t> samples;  ///< indices into the list of samples
  std::int64_t valid = 0;             ///< how many, from the front, are not padding (see SampleOrder::valid())
};

struct LoaderOptions {
  std::int64_t global_batch = 1;
  std::int64_t micro_batch = 1;  ///< samples; divides global_batch
  bool shuffles = true;          ///< false: evaluation, and no augmentation
  std::uint64_t seed = 0;        ///< of order and augmentation
  Augmentation augmentation{};
  std::vector<std::int64_t> micro_batches{};  ///< those of each step that this rank loads, ascending; empty: all
  std::int64_t ahead = 4;                     ///< micro-batches loaded before they are asked for
};

/// Micro-batches by (epoch, step, index), loaded ahead of the computation by a thread of its own.
///
/// After a request for one micro-batch the thread goes on with the rank's next ones in order, over the ends of steps
/// and epochs. Any order of requests is right, only the usual one is fast. Thread-safe.
class Loader {
 public:
  /// `cache` and what `samples` point to must outlive the loader.
  Loader(const VolumeCache& cache, std::vector<Sample> samples, LoaderOptions options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  [[nodiscard]] const SampleOrder& order() const;
  [[nodiscard]] const std::vector<Sample>& samples() const;
  /// Waits for it if need be. Throws InputError if a scan or the cache is bad.
  [[nodiscard]] std::shared_ptr<const LoadedBatch> get(std::int64_t epoch, std::int64_t step, std::int64_t micro_batch);
  /// The labels alone, at once: what the rank of the loss needs.
  [[nodiscard]] std::vector<std::int64_t> labels(std::int64_t epoch, std::int64_t step, std::int64_t micro_batch) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gabra::data
