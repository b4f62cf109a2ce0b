// SPDX-License-Identifier: MIT
#include "gabra/exec/machine.hpp"

#ifdef GABRA_WITH_CUDA
#include <cuda_runtime_api.h>
#endif
#include <unistd.h>

#include <array>
#include <fstream>

namespace gabra::exec {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

std::string processor_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name"))
      if (const std::size_t colon = line.find(": "); colon != std::string::npos) return line.substr(colon + 2);
  return "unknown processor";
}

#ifdef GABRA_WITH_CUDA
std::string gpu_model(int index) {
  cudaDeviceProp properties{};
  return cudaGetDeviceProperties(&properties, index) == cudaSuccess ? properties.name : "unknown GPU";
}
#else
std::string gpu_model(int) { return "unknown GPU"; }
#endif

}  // namespace

JobRank describe_rank(Hardware hardware, int local_rank) {
  return {host_name(), hardware == Hardware::Cuda ? gpu_model(local_rank) : processor_model(),
          std::int64_t{::sysconf(_SC_NPROCESSORS_ONLN)}};
}

std::string pack(const JobRank& rank) { return std::to_string(rank.cores) + "\n" + rank.host + "\n" + rank.device; }

JobRank unpack_rank(const std::string& bytes) {
  const std::size_t first = bytes.find('\n');
  const std::size_t second = bytes.find('\n', first + 1);
  return {bytes.substr(first + 1, second - first - 1), bytes.substr(second + 1), std::stoll(bytes.substr(0, first))};
}

}  // namespace gabra::exec
