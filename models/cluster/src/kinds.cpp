// SPDX-License-Identifier: MIT
#include "kinds.hpp"

namespace gabra::detail {
namespace {

constexpr Bytes gibibytes(std::int64_t amount) { return Bytes(amount << 30); }

/// Shares of the peaks by class of arithmetic: Convolution, MatrixProduct, Normalization, Elementwise, Pooling,
/// Embedding.
using Efficiencies = std::array<Efficiency, kComputeClassCount>;

constexpr Efficiencies kGpuEfficiencies{{{.flops = 0.60, .bandwidth = 0.70, .half_rows = 0.0},
                                         {.flops = 0.80, .bandwidth = 0.75, .half_rows = 0.0},
                                         {.flops = 1.00, .bandwidth = 0.70, .half_rows = 0.0},
                                         {.flops = 1.00, .bandwidth = 0.80, .half_rows = 0.0},
                                         {.flops = 1.00, .bandwidth = 0.60, .half_rows = 0.0},
                                         {.flops = 1.00, .bandwidth = 0.50, .half_rows = 0.0}}};

/// What a data sheet says of a GPU.
struct DataSheet {
  const char* name;
  double teraflops_float32;
  double teraflops_bfloat16;
  std::int64_t memory_gibibytes;
  double memory_gigabytes_per_second;
  double busy_watts;
  double idle_watts;
  const char* source;
};

DeviceKind gpu_kind(const DataSheet& sheet) {
  return {.name = sheet.name,
          .peak_float32 = FlopsPerSecond(sheet.teraflops_float32 * 1e12),
          .peak_bfloat16 = FlopsPerSecond(sheet.teraflops_bfloat16 * 1e12),
          .memory = gibibytes(sheet.memory_gibibytes),
          .base_memory = gibibytes(1),
          .memory_bandwidth = BytesPerSecond(sheet.memory_gigabytes_per_second * 1e9),
          .launch = Seconds(10e-6),
          .idle_power = Watts(sheet.idle_watts),
          .busy_power = Watts(sheet.busy_watts),
          .communication_slowdown = 1.0,
          .efficiency = kGpuEfficiencies,
          .is_calibrated = false,
          .source = sheet.source};
}

}  // namespace

DeviceKind v100_kind() { return gpu_kind({"V100-SXM2", 15.7, 15.7, 32, 900, 300, 40, "NVIDIA V100 data sheet"}); }
DeviceKind a100_kind() { return gpu_kind({"A100-SXM4-80GB", 19.5, 312, 80, 2039, 400, 55, "NVIDIA A100 data sheet"}); }
DeviceKind h100_kind() {
  return gpu_kind({"H100-SXM5-80GB", 66.9, 989.4, 80, 3350, 700, 70, "NVIDIA H100 data sheet"});
}
DeviceKind h200_kind() {
  return gpu_kind({"H200-SXM5-141GB", 66.9, 989.4, 131, 4800, 700, 75, "NVIDIA H200 data sheet"});
}
DeviceKind p40_kind() { return gpu_kind({"P40", 11.76, 11.76, 24, 346, 250, 10, "NVIDIA P40 data sheet"}); }
DeviceKind rtx_2080_ti_kind() {
  return gpu_kind({"RTX-2080-Ti", 13.45, 13.45, 11, 616, 250, 15, "NVIDIA Turing white paper"});
}
DeviceKind rtx_3090_kind() {
  return gpu_kind({"RTX-3090", 35.6, 71, 24, 936, 350, 20, "NVIDIA Ampere GA102 white paper"});
}

DeviceKind cpu_kind() {
  DeviceKind kind{.name = "CPU-rank",
                  .peak_float32 = FlopsPerSecond(100e9),
                  .peak_bfloat16 = FlopsPerSecond(100e9),
                  .memory = gibibytes(8),
                  .base_memory = Bytes(std::int64_t{256} << 20),
                  .memory_bandwidth = BytesPerSecond(10e9),
                  .launch = Seconds(10e-6),
                  .idle_power = Watts(10),
                  .busy_power = Watts(40),
                  .communication_slowdown = 1.0,
                  .efficiency = kGpuEfficiencies,
                  .is_calibrated = false,
                  .source = "own choice: one process of a small machine"};
  return kind;
}

}  // namespace gabra::detail
