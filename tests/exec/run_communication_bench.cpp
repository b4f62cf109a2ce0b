// SPDX-License-Identifier: MIT
// Times the all-reduce of MpiCommunicator and MPI_Iallreduce between all ranks: mpirun -np 2 run_communication_bench.
// Prints one line per size: median milliseconds of both.
#include "gabra/exec/mpi_communicator.hpp"
#include "gabra/exec/mpi_world.hpp"
#include "gabra/exec/tensor_memory.hpp"

#include <ATen/ops/ones.h>
#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <functional>
#include <vector>

namespace {

using gabra::exec::MpiWorld;

double median_seconds(const MpiWorld& world, const at::Tensor& tensor, const std::function<void()>& operation) {
  std::vector<double> seconds;
  for (int i = 0; i < 9; ++i) {
    tensor.fill_(1.0);
    world.barrier();
    const double begin = gabra::exec::monotonic_seconds();
    operation();
    seconds.push_back(gabra::exec::monotonic_seconds() - begin);
  }
  std::nth_element(seconds.begin(), seconds.begin() + 4, seconds.end());
  return seconds[4];
}

}  // namespace

int main(int argc, char** argv) {
  const MpiWorld world(argc, argv);
  gabra::exec::TensorMemory::install();
  const auto communicator = gabra::exec::make_mpi_communicator(world);
  gabra::Program program;
  gabra::Collective all;
  for (int r = 0; r < world.size(); ++r) {
    program.devices.emplace_back(r);
    all.devices.emplace_back(r);
  }
  program.collectives.push_back(all);
  communicator->prepare(program);
  for (const std::int64_t bytes : {4, 4096, 65536, 1 << 20, 1 << 22, 1 << 24, 1 << 26, 1 << 27}) {
    const at::Tensor tensor = at::ones({bytes / 4});
    const double own = median_seconds(world, tensor, [&] {
      const auto pending = communicator->start({gabra::InstructionId(0), gabra::Opcode::AllReduce, {}, 0, tensor});
      while (!pending->test()) {
      }
    });
    const double mpi = median_seconds(world, tensor, [&] {
      MPI_Request request = MPI_REQUEST_NULL;
      MPI_Iallreduce(MPI_IN_PLACE, tensor.data_ptr(), static_cast<int>(bytes / 4), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD,
                     &request);
      int is_done = 0;
      while (is_done == 0) MPI_Test(&request, &is_done, MPI_STATUS_IGNORE);
    });
    if (world.rank() == 0)
      fmt::print("{:>10} bytes: ours {:8.3f} ms, MPI_Iallreduce {:8.3f} ms\n", bytes, 1e3 * own, 1e3 * mpi);
  }
}
