// SPDX-License-Identifier: MIT
#include "loss.hpp"

#include <ATen/ATen.h>

namespace gabra::exec {

LossResult cross_entropy(const at::Tensor& output, std::int64_t classes, const at::Tensor& target,
                         const at::Tensor& class_weights, double scale) {
  const c10::ScalarType type = output.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  at::Tensor logarithms = at::log_softmax(output, classes, type);
  const at::Tensor index = target.unsqueeze(classes);
  const double share = scale / static_cast<double>(target.numel());
  at::Tensor weights = class_weights.defined()
                           ? class_weights.to(type).index_select(0, index.flatten()).view(index.sizes())
                           : at::ones(index.sizes(), logarithms.options());
  weights.mul_(share);
  const at::Tensor loss = logarithms.gather(classes, index).mul_(weights).sum().neg_();
  // d loss = share x weight x (softmax - one at the target).
  at::Tensor gradient = logarithms.exp_().mul_(weights);
  gradient.scatter_add_(classes, index, weights.neg_());
  return {loss, gradient.to(output.scalar_type())};
}

}  // namespace gabra::exec
