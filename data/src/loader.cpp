// SPDX-License-Identifier: MIT
#include "gabra/data/loader.hpp"

#include "gabra/core/check.hpp"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <numeric>
#include <set>
#include <stop_token>
#include <thread>
#include <utility>

namespace gabra::data {

/// Micro-batches that this rank loads are numbered through all epochs: position = (epoch steps + step) W + w, where w
/// counts the rank's W micro-batches of a step.
struct Loader::Impl {
  using Batch = std::shared_ptr<const LoadedBatch>;

  const VolumeCache& cache;
  std::vector<Sample> samples;
  LoaderOptions options;
  SampleOrder order;

  std::mutex mutex;
  std::condition_variable_any changed;
  std::map<std::int64_t, Batch> ready;     ///< by position
  std::int64_t front = 0;                  ///< position last asked for; loading goes on from here
  bool is_asked = false;                   ///< nothing is loaded before the first request
  std::multiset<std::int64_t> waited_for;  ///< positions that somebody waits for: loaded first, not dropped
  std::jthread thread;                     ///< last member: stops before the others end

  Impl(const VolumeCache& the_cache, std::vector<Sample> the_samples, LoaderOptions the_options)
      : cache(the_cache),
        samples(std::move(the_samples)),
        options(std::move(the_options)),
        order(static_cast<std::int64_t>(samples.size()), options.global_batch, options.shuffles, options.seed) {
    GABRA_CHECK(options.micro_batch > 0 && options.global_batch % options.micro_batch == 0,
                "a micro-batch that divides the global batch");
    if (options.micro_batches.empty()) {
      options.micro_batches.resize(static_cast<std::size_t>(options.global_batch / options.micro_batch));
      std::iota(options.micro_batches.begin(), options.micro_batches.end(), std::int64_t{0});
    }
    if (options.ahead > 0) thread = std::jthread([this](const std::stop_token& stop) { work(stop); });
  }

  [[nodiscard]] std::int64_t width() const { return static_cast<std::int64_t>(options.micro_batches.size()); }

  /// -1 for a micro-batch that is not the rank's.
  [[nodiscard]] std::int64_t position(std::int64_t epoch, std::int64_t step, std::int64_t micro_batch) const {
    const auto& own = options.micro_batches;
    const auto found = std::lower_bound(own.begin(), own.end(), micro_batch);
    if (found == own.end() || *found != micro_batch) return -1;
    return (epoch * order.steps() + step) * width() + (found - own.begin());
  }

  [[nodiscard]] std::vector<std::int64_t> members(std::int64_t epoch, std::int64_t step,
                                                  std::int64_t micro_batch) const {
    GABRA_CHECK(micro_batch >= 0 && (micro_batch + 1) * options.micro_batch <= options.global_batch,
                "a micro-batch of the global batch");
    const std::vector<std::int64_t> all = order.batch(epoch, step);
    const auto begin = all.begin() + micro_batch * options.micro_batch;
    return {begin, begin + options.micro_batch};
  }

  [[nodiscard]] Batch load(std::int64_t epoch, std::int64_t step, std::int64_t micro_batch) const {
    auto batch = std::make_shared<LoadedBatch>();
    batch->samples = members(epoch, step, micro_batch);
    batch->valid =
        std::clamp(order.valid(step) - micro_batch * options.micro_batch, std::int64_t{0}, options.micro_batch);
    const auto size = static_cast<std::size_t>(cache.voxels());
    batch->voxels.resize(size * batch->samples.size());
    std::vector<float> plain;
    for (std::size_t i = 0; i < batch->samples.size(); ++i) {
      const Sample& sample = samples[static_cast<std::size_t>(batch->samples[i])];
      batch->labels.push_back(sample.label);
      const auto to = std::span(batch->voxels).subspan(i * size, size);
      const Transform transform =
          options.shuffles ? draw_transform(options.augmentation, options.seed, epoch, sample.key) : Transform{};
      if (transform == Transform{}) {
        cache.load(sample.path, to);
        continue;
      }
      plain.resize(size);
      cache.load(sample.path, plain);
      apply_transform(transform, cache.settings().extent, plain, to);
    }
    return batch;
  }

  [[nodiscard]] Batch load_position(std::int64_t at) const {
    const std::int64_t global_step = at / width();
    return load(global_step / order.steps(), global_step % order.steps(),
                options.micro_batches[static_cast<std::size_t>(at % width())]);
  }

  /// The next position to load, or -1: one that is waited for, else the first one missing at or after `front`. Needs
  /// the lock.
  [[nodiscard]] std::int64_t next() const {
    for (const std::int64_t at : waited_for)
      if (!ready.contains(at)) return at;
    if (!is_asked) return -1;
    for (std::int64_t at = front; at <= front + options.ahead; ++at)
      if (!ready.contains(at)) return at;
    return -1;
  }

  void work(const std::stop_token& stop) {
    std::unique_lock lock(mutex);
    while (changed.wait(lock, stop, [this] { return next() >= 0; })) {
      const std::int64_t at = next();
      lock.unlock();
      Batch batch;
      try {
        batch = load_position(at);
      } catch (const std::exception&) {
        batch = nullptr;  // whoever asks for it loads it again, and meets the fault there
      }
      lock.lock();
      ready[at] = std::move(batch);
      changed.notify_all();
    }
  }

  [[nodiscard]] Batch get(std::int64_t epoch, std::int64_t step, std::int64_t micro_batch) {
    const std::int64_t at = position(epoch, step, micro_batch);
    if (at < 0 || options.ahead <= 0) return load(epoch, step, micro_batch);
    std::unique_lock lock(mutex);
    is_asked = true;
    front = at;
    const auto waiting = waited_for.insert(at);
    // What was loaded for this step stays: several stages may ask for it.
    const std::int64_t first = at - at % width();
    std::erase_if(ready, [&](const auto& entry) {
      return (entry.first < first || entry.first > at + options.ahead) && !waited_for.contains(entry.first);
    });
    changed.notify_all();
    changed.wait(lock, [&] { return ready.contains(at); });
    waited_for.erase(waiting);
    if (Batch batch = ready.at(at); batch != nullptr) return batch;
    ready.erase(at);
    lock.unlock();
    return load(epoch, step, micro_batch);
  }
};

Loader::Loader(const VolumeCache& cache, std::vector<Sample> samples, LoaderOptions options)
    : impl_(std::make_unique<Impl>(cache, std::move(samples), std::move(options))) {}
Loader::~Loader() = default;

const SampleOrder& Loader::order() const { return impl_->order; }
const std::vector<Sample>& Loader::samples() const { return impl_->samples; }

std::shared_ptr<const LoadedBatch> Loader::get(std::int64_t epoch, std::int64_t step, std::int64_t micro_batch) {
  return impl_->get(epoch, step, micro_batch);
}

std::vector<std::int64_t> Loader::labels(std::int64_t epoch, std::int64_t step, std::int64_t micro_batch) const {
  std::vector<std::int64_t> result;
  for (const std::int64_t sample : impl_->members(epoch, step, micro_batch))
    result.push_back(impl_->samples[static_cast<std::size_t>(sample)].label);
  return result;
}

}  // namespace gabra::data
