// SPDX-License-Identifier: MIT
#include "sample_sources.hpp"

#include "gabra/core/error.hpp"
#include "gabra/core/rng.hpp"
#include "gabra/data/loader.hpp"
#include "gabra/exec/tensor_file.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <span>

namespace gabra::exec {
namespace {

constexpr std::int64_t kMostSamples = 64;
constexpr std::int64_t kSyntheticSteps = 16;
constexpr std::int64_t kMostShift = 2;  // voxels of augmentation
constexpr std::uint64_t kTargetStream = 1U << 20U;

std::vector<std::int64_t> with_batch(std::int64_t n, std::span<const std::int64_t> shape) {
  std::vector<std::int64_t> result{n};
  result.insert(result.end(), shape.begin(), shape.end());
  return result;
}

/// What a target of one sample looks like.
struct TargetShape {
  std::int64_t classes = 0;
  Shape positions;  ///< empty: one class per sample
};

bool reads_token_ids(const Network& network) {
  const auto inputs = input_layers(network);
  return std::any_of(inputs.begin(), inputs.end(),
                     [](const Layer* layer) { return std::get<Input>(layer->attributes).is_token_ids; });
}

TargetShape target_shape(const Network& network) {
  const Shape& output = network.layers().back().output;
  if (output.size() == 2 && reads_token_ids(network)) return {output[1], {output[0]}};
  return {output[0], Shape(output.begin() + 1, output.end())};
}

std::int64_t vocabulary_of(const Network& network, const Layer& input) {
  std::int64_t smallest = std::numeric_limits<std::int64_t>::max();
  for (const Layer& layer : network.layers())
    if (const auto* embedding = std::get_if<Embedding>(&layer.attributes);
        embedding != nullptr && &network.layer(layer.inputs.front()) == &input)
      smallest = std::min(smallest, embedding->vocabulary);
  return smallest;
}

class SyntheticSource final : public SampleSourceBase {
 public:
  SyntheticSource(const Network& network, const BatchShape& shape, std::uint64_t seed)
      : network_(network),
        inputs_(input_layers(network)),
        target_(target_shape(network)),
        shape_(shape),
        seed_(seed),
        samples_(std::min(shape.global_batch, kMostSamples)) {}

  [[nodiscard]] std::int64_t steps_per_epoch() const override { return kSyntheticSteps; }

  std::vector<at::Tensor> inputs(std::int64_t, std::int64_t micro_batch) override {
    std::vector<at::Tensor> result;
    for (std::size_t k = 0; k < inputs_.size(); ++k) {
      const auto& input = std::get<Input>(inputs_[k]->attributes);
      at::Tensor batch =
          at::empty(with_batch(shape_.micro_batch(), input.shape), input.is_token_ids ? at::kLong : at::kFloat);
      for (std::int64_t i = 0; i < shape_.micro_batch(); ++i) copy_sample(batch[i], k, sample_of(micro_batch, i));
      result.push_back(std::move(batch));
    }
    return result;
  }

  at::Tensor target(std::int64_t, std::int64_t micro_batch) override {
    at::Tensor batch = at::empty(with_batch(shape_.micro_batch(), target_.positions), at::kLong);
    auto* values = batch.mutable_data_ptr<std::int64_t>();
    const std::int64_t each = element_count(target_.positions);
    for (std::int64_t i = 0; i < shape_.micro_batch(); ++i) {
      Rng rng = Rng::substream(seed_, kTargetStream, static_cast<std::uint64_t>(sample_of(micro_batch, i)));
      for (std::int64_t k = 0; k < each; ++k) *values++ = rng.between(0, target_.classes - 1);
    }
    return batch;
  }

 private:
  [[nodiscard]] std::int64_t sample_of(std::int64_t micro_batch, std::int64_t i) const {
    return (micro_batch * shape_.micro_batch() + i) % samples_;
  }

  /// The samples are memory of their own, not LibTorch's: what a step needs is what is measured.
  void copy_sample(const at::Tensor& to, std::size_t input, std::int64_t sample) {
    const std::lock_guard lock(mutex_);
    if (to.scalar_type() == at::kLong) {
      auto& values = tokens_[{input, sample}];
      if (values.empty()) values = make_tokens(input, sample);
      std::copy(values.begin(), values.end(), to.mutable_data_ptr<std::int64_t>());
    } else {
      auto& values = images_[{input, sample}];
      if (values.empty()) values = make_image(input, sample);
      std::copy(values.begin(), values.end(), to.mutable_data_ptr<float>());
    }
  }

  [[nodiscard]] std::vector<float> make_image(std::size_t input, std::int64_t sample) const {
    Rng rng = Rng::substream(seed_, input, static_cast<std::uint64_t>(sample));
    std::vector<float> values(static_cast<std::size_t>(element_count(inputs_[input]->output)));
    for (float& value : values) value = static_cast<float>(rng.normal());
    return values;
  }

  [[nodiscard]] std::vector<std::int64_t> make_tokens(std::size_t input, std::int64_t sample) const {
    Rng rng = Rng::substream(seed_, input, static_cast<std::uint64_t>(sample));
    const std::int64_t vocabulary = vocabulary_of(network_, *inputs_[input]);
    std::vector<std::int64_t> values(static_cast<std::size_t>(element_count(inputs_[input]->output)));
    for (std::int64_t& value : values) value = rng.between(0, vocabulary - 1);
    return values;
  }

  const Network& network_;
  std::vector<const Layer*> inputs_;
  TargetShape target_;
  BatchShape shape_;
  std::uint64_t seed_;
  std::int64_t samples_;
  std::mutex mutex_;  // the service thread loads, compute asks for targets
  std::map<std::pair<std::size_t, std::int64_t>, std::vector<float>> images_;
  std::map<std::pair<std::size_t, std::int64_t>, std::vector<std::int64_t>> tokens_;
};

class FileSource final : public SampleSourceBase {
 public:
  FileSource(at::Tensor data, at::Tensor target, const BatchShape& shape)
      : data_(std::move(data)), target_(std::move(target)), shape_(shape) {}

  [[nodiscard]] std::int64_t steps_per_epoch() const override { return 1; }
  std::vector<at::Tensor> inputs(std::int64_t, std::int64_t micro_batch) override { return {part(data_, micro_batch)}; }
  at::Tensor target(std::int64_t, std::int64_t micro_batch) override { return part(target_, micro_batch); }

 private:
  [[nodiscard]] at::Tensor part(const at::Tensor& whole, std::int64_t micro_batch) const {
    return whole.narrow(0, micro_batch * shape_.micro_batch(), shape_.micro_batch()).clone();
  }

  at::Tensor data_;
  at::Tensor target_;
  BatchShape shape_;
};

class VolumeSource final : public SampleSourceBase {
 public:
  VolumeSource(const DataSet& data, const data::LoaderOptions& options)
      : loader_(*data.cache, data.train, options), settings_(data.cache->settings()) {}

  [[nodiscard]] std::int64_t steps_per_epoch() const override { return loader_.order().steps(); }

  std::vector<at::Tensor> inputs(std::int64_t step, std::int64_t micro_batch) override {
    const auto batch = loader_.get(step / steps_per_epoch(), step % steps_per_epoch(), micro_batch);
    const data::Extent& extent = settings_.extent;
    const auto n = static_cast<std::int64_t>(batch->labels.size());
    // from_blob() only looks, so casting const away is safe; the copy is memory of the device.
    return {at::from_blob(const_cast<float*>(batch->voxels.data()), {n, 1, extent[0], extent[1], extent[2]}, at::kFloat)
                .clone()};
  }

  at::Tensor target(std::int64_t step, std::int64_t micro_batch) override {
    const std::vector<std::int64_t> labels =
        loader_.labels(step / steps_per_epoch(), step % steps_per_epoch(), micro_batch);
    return at::tensor(labels, at::kLong);
  }

 private:
  data::Loader loader_;
  data::PreprocessSettings settings_;
};

/// Faults of a file's data or target, whose first dimension is the samples.
void check_file_shape(const at::Tensor& tensor, const std::vector<std::int64_t>& expected, const std::string& place,
                      FaultList& faults) {
  if (tensor.sizes() != at::IntArrayRef(expected))
    faults.add(place, fmt::format("the shape [{}]", fmt::join(tensor.sizes(), ", ")),
               fmt::format("[{}], the global batch of the plan first", fmt::join(expected, ", ")));
}

}  // namespace

std::vector<const Layer*> input_layers(const Network& network) {
  std::vector<const Layer*> result;
  for (const Layer& layer : network.layers())
    if (std::holds_alternative<Input>(layer.attributes)) result.push_back(&layer);
  return result;
}

std::unique_ptr<SampleSourceBase> make_synthetic_source(const Network& network, const BatchShape& shape,
                                                        std::uint64_t seed) {
  return std::make_unique<SyntheticSource>(network, shape, seed);
}

std::unique_ptr<SampleSourceBase> make_file_source(const std::string& path, const Network& network,
                                                   const BatchShape& shape) {
  at::Tensor data;
  at::Tensor target;
  for (const NamedTensor& named : read_tensors(path)) {
    if (named.name == "data") data = named.tensor;
    if (named.name == "target") target = named.tensor;
  }
  if (!data.defined() || !target.defined())
    throw_input_error(path, "no tensors named data and target", "{\"data\": samples, \"target\": classes}");
  FaultList faults;
  const auto inputs = input_layers(network);
  if (inputs.size() != 1)
    throw_input_error(path, fmt::format("a network with {} inputs", inputs.size()), "a network with one input");
  const auto& input = std::get<Input>(inputs.front()->attributes);
  const TargetShape wanted = target_shape(network);
  check_file_shape(data, with_batch(shape.global_batch, input.shape), path + ": data", faults);
  check_file_shape(target, with_batch(shape.global_batch, wanted.positions), path + ": target", faults);
  if (target.scalar_type() != at::kLong)
    faults.add(path + ": target", "numbers of another type", "classes as 64-bit whole numbers");
  else if (target.numel() > 0 &&
           (target.min().item<std::int64_t>() < 0 || target.max().item<std::int64_t>() >= wanted.classes))
    faults.add(path + ": target", "classes out of range", fmt::format("0 to {}", wanted.classes - 1));
  faults.throw_if_any();
  return std::make_unique<FileSource>(data.to(input.is_token_ids ? at::kLong : at::kFloat), target, shape);
}

std::unique_ptr<SampleSourceBase> make_volume_source(const DataSet& data, const BatchShape& shape, std::uint64_t seed,
                                                     bool is_augmented, std::vector<std::int64_t> own_micro_batches) {
  data::LoaderOptions options;
  options.global_batch = shape.global_batch;
  options.micro_batch = shape.micro_batch();
  options.seed = seed;
  if (is_augmented) options.augmentation = {.flips = true, .max_shift = kMostShift};
  options.micro_batches = std::move(own_micro_batches);
  return std::make_unique<VolumeSource>(data, options);
}

}  // namespace gabra::exec
