// SPDX-License-Identifier: MIT
// Seconds of one training step (forward, loss, backward of every micro-batch, update) in one process; compare with
// peer_train.py --mode serial of the same case. By hand: OMP_NUM_THREADS=1 exec_model_bench.
#include "gabra/network/zoo.hpp"
#include "support/random_batch.hpp"
#include "support/stage_chain.hpp"

#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <string>

namespace {

struct StepCase {
  std::string network;
  std::int64_t micro_batches = 4;
  std::int64_t micro_batch_size = 2;
};

void time_step(benchmark::State& state, const StepCase& step) {
  at::set_num_threads(1);
  const gabra::Network network = gabra::make_zoo_network(step.network);
  gabra::exec::StageChain chain(network, {}, {});
  const auto batch = gabra::exec::make_random_batch(network, step.micro_batches, step.micro_batch_size, 2);
  gabra::exec::UpdateOptions update;
  for (auto _ : state) {
    benchmark::DoNotOptimize(chain.step(batch.inputs, batch.targets, update));
    ++update.step;
  }
}

}  // namespace

int main(int count, char** arguments) {
  // As gabra-exec does: freed memory stays with the process, not to be faulted in again at every step.
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, 2'000'000'000);
  const std::string eighteen = "3d-resattnet-18:width=16,input=1x", thirty_four = "3d-resattnet-34:width=16,input=1x";
  for (const StepCase& step : {StepCase{eighteen + "64x64x64", 4, 2}, StepCase{eighteen + "64x64x64", 8, 1},
                               StepCase{eighteen + "96x96x96", 4, 2}, StepCase{thirty_four + "64x64x64", 4, 2}})
    benchmark::RegisterBenchmark((step.network + "/" + std::to_string(step.micro_batches)).c_str(), time_step, step)
        ->Unit(benchmark::kMillisecond)
        ->MinTime(2.0);
  benchmark::Initialize(&count, arguments);
  benchmark::RunSpecifiedBenchmarks();
}
