// SPDX-License-Identifier: MIT
#include "machine_facts.hpp"

#include "gabra/exec/cuda_device.hpp"
#include "gabra/exec/machine.hpp"

#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>

namespace gabra::exec {
namespace {

std::int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::int64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

std::vector<int> machines_of(const MpiWorld& world) {
  std::vector<std::string> names = world.gather(describe_rank(Hardware::Cpu, 0).host);
  std::vector<std::string> known;
  std::string numbers;
  for (const std::string& name : names) {
    auto found = std::find(known.begin(), known.end(), name);
    if (found == known.end()) found = known.insert(known.end(), name);
    numbers += std::to_string(found - known.begin()) + " ";
  }
  numbers = world.broadcast(numbers);
  std::vector<int> result;
  for (std::size_t begin = 0; begin < numbers.size(); begin = numbers.find(' ', begin) + 1)
    result.push_back(std::stoi(numbers.substr(begin)));
  return result;
}

std::vector<std::string> device_models(Hardware hardware, const MpiWorld& world) {
  std::vector<std::string> models;
  for (std::string& model : world.gather(describe_rank(hardware, world.local_rank()).device))
    if (std::find(models.begin(), models.end(), model) == models.end()) models.push_back(std::move(model));
  return models;
}

Bytes device_memory(Hardware hardware, const MpiWorld& world) {
  double bytes = static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  if (hardware == Hardware::Cpu) {
    const std::vector<int> machines = machines_of(world);
    const int own = machines[static_cast<std::size_t>(world.rank())];
    bytes /= static_cast<double>(std::count(machines.begin(), machines.end(), own));
  }
#ifdef GABRA_WITH_CUDA
  if (hardware == Hardware::Cuda) bytes = static_cast<double>(cuda_memory(world.local_rank()).total.value());
#endif
  return Bytes(static_cast<std::int64_t>(-world.max(-bytes)));
}

Bytes base_memory(Hardware hardware, const MpiWorld& world) {
  const c10::Device device = torch_device(hardware, world);
  // Loads the libraries that every model needs.
  const at::Tensor some = at::ones({64, 64}, at::TensorOptions(device));
  const at::Tensor product = at::matmul(some, some);
  double bytes = static_cast<double>(resident_bytes());
#ifdef GABRA_WITH_CUDA
  if (hardware == Hardware::Cuda) bytes = static_cast<double>(cuda_memory(world.local_rank()).in_use.value());
#endif
  return Bytes(static_cast<std::int64_t>(world.max(bytes)));
}

c10::Device torch_device(Hardware hardware, const MpiWorld& world) {
  if (hardware == Hardware::Cpu) return c10::Device(c10::DeviceType::CPU);
  return {c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(world.local_rank())};
}

}  // namespace gabra::exec
