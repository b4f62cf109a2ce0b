// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/network/layer.hpp"

namespace gabra {

/// Calls `visit(name, member)` for each attribute of a kind that files must state and `visit.optional(name, member)`
/// for each that has a default, in the order of files. One table for reading, writing and hashing. `A` may be const.
template <class A, class Visit>
requires std::is_same_v<std::remove_const_t<A>, Input>
void visit_fields(A& a, Visit& visit) {
  visit("shape", a.shape);
  visit.optional("is_token_ids", a.is_token_ids);
}
template <class A, class Visit>
requires std::is_same_v<std::remove_const_t<A>, Convolution>
void visit_fields(A& a, Visit& visit) {
  visit("out_channels", a.out_channels);
  visit("kernel", a.kernel);
  visit.optional("stride", a.stride);
  visit.optional("padding", a.padding);
  visit.optional("dilation", a.dilation);
  visit.optional("groups", a.groups);
  visit.optional("bias", a.bias);
}
template <class A, class Visit>
requires std::is_same_v<std::remove_const_t<A>, TransposedConvolution>
void visit_fields(A& a, Visit& visit) {
  visit("out_channels", a.out_channels);
  visit("kernel", a.kernel);
  visit.optional("stride", a.stride);
  visit.optional("padding", a.padding);
  visit.optional("bias", a.bias);
}
template <class A, class Visit>
requires std::is_same_v<std::remove_const_t<A>, BatchNorm>
void visit_fields(A& a, Visit& visit) {
  visit.optional("epsilon", a.epsilon);
  visit.optional("momentum", a.momentum);
}
template <class A, class Visit>
requires std::is_same_v<std::remove_const_t<A>, LayerNorm>
void visit_fields(A& a, Visit& visit) { visit.optional("epsilon", a.epsilon); }
template <class A, class Visit>
requires(std::is_same_v<std::remove_const_t<A>, MaxPool> ||
         std::is_same_v<std::remove_const_t<A>, AveragePool>) void visit_fields(A& a, Visit& visit) {
  visit("kernel", a.kernel);
  visit.optional("stride", a.stride);
  visit.optional("padding", a.padding);
}
template <class A, class Visit>
requires std::is_same_v<std::remove_const_t<A>, AdaptiveAveragePool>
void visit_fields(A& a, Visit& visit) { visit("output", a.output); }
template <class A, class Visit>
requires std::is_same_v<std::remove_const_t<A>, Linear>
void visit_fields(A& a, Visit& visit) {
  visit("out_features", a.out_features);
  visit.optional("bias", a.bias);
}
template <class A, class Visit>
requires std::is_same_v<std::remove_const_t<A>, Upsample>
void visit_fields(A& a, Visit& visit) { visit.optional("factor", a.factor); }
template <class A, class Visit>
requires std::is_same_v<std::remove_const_t<A>, PositionAttention>
void visit_fields(A& a, Visit& visit) { visit.optional("reduction", a.reduction); }
template <class A, class Visit>
requires std::is_same_v<std::remove_const_t<A>, CausalAttention>
void visit_fields(A& a, Visit& visit) { visit("heads", a.heads); }
template <class A, class Visit>
requires std::is_same_v<std::remove_const_t<A>, Embedding>
void visit_fields(A& a, Visit& visit) {
  visit("vocabulary", a.vocabulary);
  visit("features", a.features);
  visit("positions", a.positions);
}
template <class A, class Visit>
requires std::is_same_v<std::remove_const_t<A>, Dropout>
void visit_fields(A& a, Visit& visit) { visit.optional("probability", a.probability); }
template <class A, class Visit>
requires std::is_same_v<std::remove_const_t<A>, Opaque>
void visit_fields(A& a, Visit& visit) {
  visit.optional("description", a.description);
  visit("output_bytes", a.output_bytes);
  visit.optional("parameter_bytes", a.parameter_bytes);
  visit.optional("saved_bytes", a.saved_bytes);
  visit.optional("batch", a.batch);
  visit("forward", a.forward);
  visit("backward", a.backward);
}
template <class A, class Visit>
requires(std::is_empty_v<A>) void visit_fields(A&, Visit&) {}

}  // namespace gabra
