// SPDX-License-Identifier: MIT
#include "kept_bytes.hpp"

#include "gabra/exec/stage_module.hpp"
#include "gabra/exec/synthetic_source.hpp"
#include "gabra/exec/to_device.hpp"

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <map>
#include <utility>

namespace gabra::exec {
namespace {

/// What this thread takes from a device's allocator and gives back, by the layer that computed meanwhile.
class LayerAllocations final : public c10::MemoryReportingInfoBase {
 public:
  explicit LayerAllocations(c10::Device device) : device_(device.type()) {}

  void reportMemoryUsage(void* memory, std::int64_t bytes, std::size_t /*allocated*/, std::size_t /*reserved*/,
                         c10::Device device) override {
    if (device.type() != device_) return;
    if (bytes > 0)
      unnamed_[memory] = bytes;
    else if (unnamed_.erase(memory) == 0)
      held_.erase(memory);
  }
  [[nodiscard]] bool memoryProfilingEnabled() const override { return true; }

  /// All that was taken since the last call belongs to `layer`.
  void assign_to(LayerId layer) {
    for (const auto& [memory, bytes] : unnamed_) held_[memory] = {layer, bytes};
    unnamed_.clear();
  }
  [[nodiscard]] std::vector<Bytes> held(std::size_t layers) const {
    std::vector<Bytes> result(layers);
    for (const auto& [memory, block] : held_) result[block.first.index()] += Bytes(block.second);
    return result;
  }

 private:
  c10::DeviceType device_;
  std::map<void*, std::int64_t> unnamed_;
  std::map<void*, std::pair<LayerId, std::int64_t>> held_;
};

}  // namespace

std::vector<Bytes> measure_kept_bytes(const std::shared_ptr<const Network>& network, const TrainingSettings& training,
                                      std::int64_t micro_batch, c10::Device device) {
  const auto allocations = std::make_shared<LayerAllocations>(device);
  ModelOptions options;
  options.dtype = training.precision == Precision::Bfloat16 ? c10::ScalarType::BFloat16 : c10::ScalarType::Float;
  options.device = device;
  options.sums_wide = training.gradient_sum == GradientSum::Wide;
  options.between_layers = [&](LayerId layer) { allocations->assign_to(layer); };
  const StageOutline whole{{0, static_cast<std::int32_t>(network->unit_count())}, {DeviceId(0)}, {}};
  StageModule module(*network, whole, training.optimizer, options);
  const auto samples = make_synthetic_source(*network, {micro_batch, 1}, options.seed);
  std::vector<at::Tensor> inputs = samples->inputs(0, 0);

  const c10::DebugInfoGuard records(c10::DebugInfoKind::PROFILER_STATE, allocations);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined()) continue;
    const auto type = inputs[i].is_floating_point() ? options.dtype : inputs[i].scalar_type();
    inputs[i] = to_device(inputs[i], device).to(type).clone();
    allocations->assign_to(LayerId(i));  // Input layers are the first of the network
  }
  module.put_network_input(0, std::move(inputs));
  module.forward(0, true, {.step = 0, .first_sample = 0, .is_training = true, .updates_statistics = true});
  (void)module.take_network_output(0);
  return allocations->held(network->layers().size());
}

}  // namespace gabra::exec
