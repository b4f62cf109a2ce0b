// SPDX-License-Identifier: MIT
#include "rank_device.hpp"

#include "data_set.hpp"
#include "gabra/core/error.hpp"
#include "gabra/exec/cpu_device.hpp"
#include "gabra/exec/cuda_device.hpp"
#include "gabra/exec/mpi_communicator.hpp"
#include "gabra/exec/nccl_communicator.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <vector>

namespace gabra::exec {
namespace {

#ifdef GABRA_WITH_CUDA
RankDevice make_cuda_rank(const TrainJob& job, const Program& program, const MpiWorld& world) {
  FaultList faults;
  const int devices = cuda_device_count();
  if (world.local_rank() >= devices)
    faults.add("--device",
               fmt::format("rank {}, the {}. of its machine, which has {} GPUs", world.rank(), world.local_rank() + 1,
                           devices),
               "a GPU for every device of the plan; --device cpu trains without");
  throw_together(world, faults);
  RankDevice result;
  result.communicator = make_nccl_communicator(
      world, c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(world.local_rank())));
  result.device = make_cuda_device(program, *result.communicator,
                                   {.index = world.local_rank(), .time_limit_s = job.timeout.value()});
  return result;
}
#else
RankDevice make_cuda_rank(const TrainJob&, const Program&, const MpiWorld&) {
  throw_input_error("--device", "cuda, in a gabra-exec built without it", "cpu, or a build with -DGABRA_WITH_CUDA=ON");
}
#endif

}  // namespace

RankDevice make_rank_device(const TrainJob& job, const Program& program, const MpiWorld& world) {
  if (job.hardware == Hardware::Cuda) return make_cuda_rank(job, program, world);
  RankDevice result;
  result.communicator = make_mpi_communicator(world);
  result.device = make_cpu_device(program, *result.communicator, {.time_limit_s = job.timeout.value()});
  return result;
}

void bind_to_cores(int local_rank, std::int64_t threads) {
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &allowed)) cores.push_back(core);
  const auto first = static_cast<std::size_t>(local_rank) * static_cast<std::size_t>(threads);
  // Bound already (by srun or mpirun), or more ranks than cores: leave it to the system.
  if (first + static_cast<std::size_t>(threads) > cores.size()) return;
  cpu_set_t own;
  CPU_ZERO(&own);
  for (std::size_t i = 0; i < static_cast<std::size_t>(threads); ++i) CPU_SET(cores[first + i], &own);
  ::sched_setaffinity(0, sizeof own, &own);
}

}  // namespace gabra::exec
