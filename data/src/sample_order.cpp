// SPDX-License-Identifier: MIT
#include "gabra/core/check.hpp"
#include "gabra/core/rng.hpp"
#include "gabra/data/loader.hpp"

#include <algorithm>
#include <numeric>

namespace gabra::data {
namespace {
constexpr std::uint64_t kOrderStream = 0x6f72646572;  // "order": apart from other uses of the seed
}  // namespace

SampleOrder::SampleOrder(std::int64_t samples, std::int64_t global_batch, bool shuffles, std::uint64_t seed)
    : samples_(samples), global_batch_(global_batch), steps_(0), shuffles_(shuffles), seed_(seed) {
  GABRA_CHECK(samples > 0 && global_batch > 0, "at least one sample and a batch");
  steps_ = shuffles ? std::max<std::int64_t>(1, samples / global_batch) : (samples + global_batch - 1) / global_batch;
}

std::vector<std::int64_t> SampleOrder::batch(std::int64_t epoch, std::int64_t step) const {
  GABRA_CHECK(epoch >= 0 && step >= 0 && step < steps_, "a step of the epoch");
  std::vector<std::int64_t> result(static_cast<std::size_t>(global_batch_));
  if (!shuffles_) {
    for (std::size_t i = 0; i < result.size(); ++i)
      result[i] = std::min(step * global_batch_ + static_cast<std::int64_t>(i), samples_ - 1);
    return result;
  }
  std::vector<std::int64_t> order(static_cast<std::size_t>(samples_));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  Rng rng = Rng::substream(seed_, kOrderStream, static_cast<std::uint64_t>(epoch));
  rng.shuffle(std::span(order));
  for (std::size_t i = 0; i < result.size(); ++i) {
    const std::int64_t at = step * global_batch_ + static_cast<std::int64_t>(i);
    result[i] = order[static_cast<std::size_t>(at % samples_)];
  }
  return result;
}

std::int64_t SampleOrder::valid(std::int64_t step) const {
  return shuffles_ ? global_batch_ : std::min(global_batch_, samples_ - step * global_batch_);
}

}  // namespace gabra::data
