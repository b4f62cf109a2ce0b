// SPDX-License-Identifier: MIT
#include "reference_trainer.hpp"

#include "reference_layers.hpp"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <utility>

namespace gabra::exec {

ReferenceTrainer::ReferenceTrainer(std::shared_ptr<const Network> network, const ModelOptions& options,
                                   const TrainingSettings& training, at::Tensor class_weights)
    : network_(std::move(network)),
      options_(options),
      training_(training),
      class_weights_(std::move(class_weights)),
      entries_(model_state(*network_)) {
  const StageOutline whole{{0, static_cast<std::int32_t>(network_->unit_count())}, {DeviceId(0)}, {}};
  StageModule module(*network_, whole, training.optimizer, options);
  for (const NamedTensor& parameter : module.parameters())
    tensors_[parameter.name] = parameter.tensor.clone().requires_grad_();
  for (const NamedTensor& buffer : module.buffers()) tensors_[buffer.name] = buffer.tensor.clone();
}

at::Tensor ReferenceTrainer::pass(const std::vector<at::Tensor>& inputs, const PassContext& context) {
  const ReferenceContext reference{*network_, tensors_, options_.seed, context};
  std::vector<at::Tensor> outputs;
  std::size_t next_input = 0;
  for (std::size_t i = 0; i < network_->layers().size(); ++i) {
    const Layer& layer = network_->layers()[i];
    if (const auto* input = std::get_if<Input>(&layer.attributes)) {
      const at::Tensor& value = inputs[next_input++];
      outputs.push_back(input->is_token_ids ? value : value.to(options_.dtype));
      continue;
    }
    std::vector<at::Tensor> operands;
    for (const LayerId id : layer.inputs) operands.push_back(outputs[id.index()]);
    outputs.push_back(reference_layer(reference, LayerId(i), operands));
  }
  return outputs.back();
}

double ReferenceTrainer::step(const std::vector<std::vector<at::Tensor>>& inputs,
                              const std::vector<at::Tensor>& targets, const UpdateOptions& options) {
  const auto count = static_cast<double>(inputs.size());
  const bool reads_tokens = std::get<Input>(network_->layers()[0].attributes).is_token_ids;
  double total = 0.0;
  std::int64_t first_sample = 0;
  for (std::size_t m = 0; m < inputs.size(); ++m) {
    at::Tensor output = pass(inputs[m], {.step = options.step - 1, .first_sample = first_sample, .is_training = true});
    first_sample += inputs[m][0].size(0);
    if (reads_tokens && output.dim() == 3) output = output.transpose(1, 2);
    const at::Tensor losses = at::cross_entropy_loss(
        output, targets[m], class_weights_.defined() ? class_weights_.to(output.scalar_type()) : at::Tensor(),
        at::Reduction::None);
    const at::Tensor loss = losses.mean() / count;
    loss.backward();
    total += loss.item<double>();
  }
  const c10::AutoGradMode off(false);
  double squares = 0.0;
  for (const StateEntry& entry : entries_) {
    if (!entry.is_parameter) continue;
    const at::Tensor& gradient = tensors_.at(entry.name).grad();
    gradients_[entry.name] = gradient.clone();
    squares += gradient.to(at::kDouble).square().sum().item<double>();
  }
  gradient_norm_ = std::sqrt(squares);
  update(options);
  return total;
}

void ReferenceTrainer::update(const UpdateOptions& options) {
  double clip = 1.0;
  // PyTorch's clip_grad_norm_.
  if (training_.clip_norm) clip = std::min(1.0, *training_.clip_norm / (gradient_norm_ + 1e-6));
  for (const StateEntry& entry : entries_) {
    if (!entry.is_parameter) continue;
    at::Tensor& weight = tensors_.at(entry.name);
    at::Tensor gradient = gradients_.at(entry.name) * clip;
    at::Tensor &first = first_[entry.name], &second = second_[entry.name];
    if (!first.defined()) first = at::zeros_like(gradient);
    if (!second.defined()) second = at::zeros_like(gradient);
    if (training_.optimizer == Optimizer::SgdMomentum) {
      gradient = gradient + options.weight_decay * weight;
      first = options.momentum * first + gradient;
      weight.sub_(options.learning_rate * first);
    } else {
      const auto t = static_cast<double>(options.step);
      weight.mul_(1.0 - options.learning_rate * options.weight_decay);
      first = options.beta1 * first + (1.0 - options.beta1) * gradient;
      second = options.beta2 * second + (1.0 - options.beta2) * gradient * gradient;
      const at::Tensor mean = first / (1.0 - std::pow(options.beta1, t));
      const at::Tensor spread = (second / (1.0 - std::pow(options.beta2, t))).sqrt() + options.epsilon;
      weight.sub_(options.learning_rate * mean / spread);
    }
    weight.mutable_grad() = at::Tensor();
  }
}

void ReferenceTrainer::set(const std::string& name, const at::Tensor& value) {
  const c10::AutoGradMode off(false);
  tensors_.at(name).copy_(value);
}

at::Tensor ReferenceTrainer::evaluate(const std::vector<at::Tensor>& inputs) {
  const c10::AutoGradMode off(false);
  return pass(inputs, {.is_training = false});
}

std::vector<NamedTensor> ReferenceTrainer::state() const {
  std::vector<NamedTensor> result;
  for (const StateEntry& entry : entries_) result.push_back({entry.name, tensors_.at(entry.name).detach().clone()});
  return result;
}

}  // namespace gabra::exec
