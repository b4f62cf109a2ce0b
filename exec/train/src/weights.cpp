// SPDX-License-Identifier: MIT
#include "gabra/core/error.hpp"
#include "gabra/exec/checkpoint.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <optional>

namespace gabra::exec {
namespace {

constexpr std::size_t kMostShown = 5;

std::string last_part(const std::string& name) { return name.substr(name.rfind('.') + 1); }

std::string shape_text(at::IntArrayRef shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::vector<NamedTensor> without_counters(const std::vector<NamedTensor>& given) {
  std::vector<NamedTensor> result;
  for (const NamedTensor& named : given)
    if (last_part(named.name) != "num_batches_tracked" && !named.name.starts_with(kOptimizerPrefix))
      result.push_back(named);
  // DistributedDataParallel puts its own name in front of all.
  constexpr std::string_view kWrapper = "module.";
  for (const NamedTensor& named : result)
    if (!named.name.starts_with(kWrapper)) return result;
  for (NamedTensor& named : result) named.name.erase(0, kWrapper.size());
  return result;
}

/// What does not fit when names are compared; empty: all do.
std::vector<std::string> match_names(const std::vector<NamedTensor>& given, const std::vector<StateEntry>& state,
                                     std::vector<NamedTensor>& matched) {
  std::map<std::string, at::Tensor> by_name;
  for (const NamedTensor& named : given) by_name.emplace(named.name, named.tensor);
  std::vector<std::string> faults;
  for (const StateEntry& entry : state) {
    const auto found = by_name.find(entry.name);
    if (found == by_name.end()) {
      faults.push_back(fmt::format("no {}", entry.name));
    } else if (found->second.sizes() != at::IntArrayRef(entry.shape)) {
      faults.push_back(fmt::format("{} of shape {} in place of {}", entry.name, shape_text(found->second.sizes()),
                                   shape_text(entry.shape)));
    } else {
      matched.push_back({entry.name, found->second});
    }
    if (found != by_name.end()) by_name.erase(found);
  }
  for (const auto& [name, tensor] : by_name) faults.push_back(fmt::format("{}, which the network has not", name));
  return faults;
}

/// Whether tensors fit one by one in their order, among those whose names end alike where `by_kind`.
bool match_order(const std::vector<NamedTensor>& given, const std::vector<StateEntry>& state, bool by_kind,
                 std::vector<NamedTensor>& matched) {
  if (given.size() != state.size()) return false;
  std::map<std::string, std::vector<const NamedTensor*>> waiting;
  for (const NamedTensor& named : given) waiting[by_kind ? last_part(named.name) : ""].push_back(&named);
  std::map<std::string, std::size_t> taken;
  for (const StateEntry& entry : state) {
    const std::string kind = by_kind ? last_part(entry.name) : "";
    const std::size_t index = taken[kind]++;
    const auto found = waiting.find(kind);
    if (found == waiting.end() || index >= found->second.size()) return false;
    const NamedTensor& named = *found->second[index];
    if (named.tensor.sizes() != at::IntArrayRef(entry.shape)) return false;
    matched.push_back({entry.name, named.tensor});
  }
  return true;
}

}  // namespace

std::vector<NamedTensor> match_weights(const std::vector<NamedTensor>& given, const std::vector<StateEntry>& state,
                                       const std::string& place) {
  const std::vector<NamedTensor> weights = without_counters(given);
  std::vector<NamedTensor> matched;
  const std::vector<std::string> faults = match_names(weights, state, matched);
  if (faults.empty()) return matched;
  for (const bool by_kind : {true, false}) {
    matched.clear();
    if (match_order(weights, state, by_kind, matched)) return matched;
  }
  std::vector<std::string> shown(faults.begin(),
                                 faults.begin() + static_cast<std::ptrdiff_t>(std::min(faults.size(), kMostShown)));
  if (faults.size() > shown.size()) shown.push_back(fmt::format("{} more", faults.size() - shown.size()));
  throw_input_error(place, fmt::format("weights of another network: {}", fmt::join(shown, "; ")),
                    fmt::format("the network's {} tensors by name, or in its order", state.size()));
}

}  // namespace gabra::exec
