// SPDX-License-Identifier: MIT
#include "model_state.hpp"

#include "gabra/core/check.hpp"
#include "gabra/core/error.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <span>

namespace gabra::exec {
namespace {

using TensorMap = std::map<std::string, at::Tensor, std::less<>>;

void append_number(std::string& out, std::int64_t number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

/// Name, type, sizes and bytes of each, one after another, for a machine of the same kind.
std::string pack(std::span<const NamedTensor> tensors) {
  std::string out;
  append_number(out, static_cast<std::int64_t>(tensors.size()));
  for (const NamedTensor& named : tensors) {
    const at::Tensor whole = named.tensor.to(at::kCPU).contiguous();
    append_number(out, static_cast<std::int64_t>(named.name.size()));
    out += named.name;
    append_number(out, static_cast<std::int64_t>(whole.scalar_type()));
    append_number(out, whole.dim());
    for (const std::int64_t size : whole.sizes()) append_number(out, size);
    out.append(static_cast<const char*>(whole.const_data_ptr()), whole.nbytes());
  }
  return out;
}

class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : bytes_(bytes) {}

  std::vector<NamedTensor> read() {
    std::vector<NamedTensor> tensors(static_cast<std::size_t>(number()));
    for (NamedTensor& named : tensors) {
      named.name = take(static_cast<std::size_t>(number()));
      const auto type = static_cast<at::ScalarType>(number());
      std::vector<std::int64_t> sizes(static_cast<std::size_t>(number()));
      for (std::int64_t& size : sizes) size = number();
      named.tensor = at::empty(sizes, at::TensorOptions(type));
      const std::string_view data = take(named.tensor.nbytes());
      if (!data.empty()) std::memcpy(named.tensor.mutable_data_ptr(), data.data(), data.size());
    }
    return tensors;
  }

 private:
  std::string_view take(std::size_t count) {
    GABRA_CHECK(count <= bytes_.size(), "a message of our own is whole");
    const std::string_view result = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return result;
  }
  std::int64_t number() {
    std::int64_t value = 0;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  std::string_view bytes_;
};

/// What this rank gives: stages whose first replica it is.
std::vector<NamedTensor> own_state(Interpreter& interpreter, int rank, bool with_optimizer) {
  const Program& program = interpreter.program();
  const DeviceId own = program.devices[static_cast<std::size_t>(rank)];
  std::vector<NamedTensor> tensors;
  for (const auto& [stage, module] : interpreter.modules()) {
    if (program.stages[stage.index()].devices.front() != own) continue;
    for (const NamedTensor& named : module->parameters()) tensors.push_back(named);
    for (const NamedTensor& named : module->buffers()) tensors.push_back(named);
    if (!with_optimizer) continue;
    for (const NamedTensor& named : module->optimizer_state())
      tensors.push_back({std::string(kOptimizerPrefix) + named.name, named.tensor});
  }
  return tensors;
}

void copy_into(const std::vector<NamedTensor>& targets, const TensorMap& given, const std::string& prefix,
               const std::string& place, FaultList& faults) {
  for (const NamedTensor& target : targets) {
    const auto found = given.find(prefix + target.name);
    if (found == given.end())
      faults.add(place, "no tensor " + in_quotes(prefix + target.name), "a checkpoint of this network and optimizer");
    else if (found->second.numel() != target.tensor.numel())
      faults.add(place, fmt::format("{} elements in {}", found->second.numel(), in_quotes(prefix + target.name)),
                 std::to_string(target.tensor.numel()));
    else
      at::Tensor(target.tensor).copy_(found->second.view(target.tensor.sizes()));
  }
}

}  // namespace

std::vector<NamedTensor> gather_state(Interpreter& interpreter, const Network& network, const MpiWorld& world,
                                      bool with_optimizer) {
  const std::vector<std::string> packed = world.gather(pack(own_state(interpreter, world.rank(), with_optimizer)));
  TensorMap all;
  for (const std::string& part : packed)
    for (NamedTensor& named : Unpacker(part).read()) all.emplace(std::move(named.name), std::move(named.tensor));
  std::vector<NamedTensor> ordered;
  if (world.rank() != 0) return ordered;
  for (const StateEntry& entry : model_state(network)) {
    auto found = all.extract(entry.name);
    GABRA_CHECK(!found.empty(), "no stage has " + entry.name);
    ordered.push_back({entry.name, std::move(found.mapped())});
  }
  for (auto& [name, tensor] : all) ordered.push_back({name, std::move(tensor)});  // the optimizer's, by name
  return ordered;
}

void copy_to_all(Interpreter& interpreter, const MpiWorld& world, const std::vector<NamedTensor>& targets) {
  TensorMap own;
  for (NamedTensor& named : own_state(interpreter, world.rank(), false))
    own.emplace(std::move(named.name), std::move(named.tensor));
  for (const NamedTensor& target : targets) {
    const auto found = own.find(target.name);
    const int owner = static_cast<int>(world.max(found == own.end() ? -1.0 : static_cast<double>(world.rank())));
    GABRA_CHECK(owner >= 0, "no stage has " + target.name);
    at::Tensor value;
    if (owner == world.rank()) value = found->second.to(at::kCPU).contiguous();
    if (world.size() > 1) {
      const auto given = value.defined()
                             ? std::string_view(static_cast<const char*>(value.const_data_ptr()), value.nbytes())
                             : std::string_view();
      std::string bytes = world.broadcast(given, owner);
      GABRA_CHECK(bytes.size() == target.tensor.nbytes(), "another size of " + target.name);
      if (!value.defined())
        value = at::from_blob(bytes.data(), target.tensor.sizes(), target.tensor.scalar_type()).clone();
    }
    at::Tensor(target.tensor).copy_(value.view(target.tensor.sizes()));
  }
}

std::string first_not_finite(const std::vector<NamedTensor>& tensors) {
  constexpr std::int64_t kChunk = std::int64_t{1} << 20;  // what is needed besides
  for (const NamedTensor& named : tensors)
    for (const at::Tensor& part : named.tensor.flatten().split(kChunk))
      if (!at::isfinite(part).all().item<bool>()) return named.name;
  return "";
}

std::vector<NamedTensor> broadcast_tensors(const std::vector<NamedTensor>& tensors, const MpiWorld& world) {
  if (world.size() == 1) return tensors;
  const std::string bytes = world.broadcast(world.rank() == 0 ? pack(tensors) : std::string());
  return world.rank() == 0 ? tensors : Unpacker(bytes).read();
}

void restore_state(Interpreter& interpreter, const std::vector<NamedTensor>& tensors, const std::string& place) {
  TensorMap given;
  for (const NamedTensor& named : tensors) given.emplace(named.name, named.tensor);
  const bool has_optimizer = std::any_of(tensors.begin(), tensors.end(), [](const NamedTensor& named) {
    return named.name.starts_with(kOptimizerPrefix);
  });
  FaultList faults;
  for (const auto& [stage, module] : interpreter.modules()) {
    copy_into(module->parameters(), given, "", place, faults);
    module->parameters_changed();
    copy_into(module->buffers(), given, "", place, faults);
    if (has_optimizer) copy_into(module->optimizer_state(), given, std::string(kOptimizerPrefix), place, faults);
  }
  faults.throw_if_any();
}

}  // namespace gabra::exec
