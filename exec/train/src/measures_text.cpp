// SPDX-License-Identifier: MIT
#include "data_set.hpp"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace gabra::exec {
namespace {

using NamedEstimate = std::pair<const char*, const std::optional<data::Estimate>&>;

std::array<NamedEstimate, 5> estimates(const data::Measures& measures) {
  return {NamedEstimate{"accuracy", measures.accuracy}, NamedEstimate{"balanced_accuracy", measures.balanced_accuracy},
          NamedEstimate{"sensitivity", measures.sensitivity}, NamedEstimate{"specificity", measures.specificity},
          NamedEstimate{"auc", measures.auc}};
}

}  // namespace

json::Value to_value(const data::Measures& measures, const std::vector<std::string>& classes) {
  json::Value value{{"samples", measures.samples}};
  for (const auto& [name, estimate] : estimates(measures)) {
    value[name] = estimate ? json::Value(estimate->value) : json::Value();
    value[std::string(name) + "_interval"] =
        estimate ? json::Value::array({estimate->low, estimate->high}) : json::Value();
  }
  value["classes"] = classes;
  value["confusion"] = measures.confusion;
  return value;
}

std::string to_text(const data::Measures& measures) {
  std::string text = fmt::format("{} samples", measures.samples);
  for (const auto& [name, estimate] : estimates(measures))
    if (estimate && std::string_view(name) != "balanced_accuracy")
      text += fmt::format(", {} {:.3f} ({:.3f} to {:.3f})", std::string_view(name) == "auc" ? "AUC" : name,
                          estimate->value, estimate->low, estimate->high);
  return text;
}

}  // namespace gabra::exec
