// SPDX-License-Identifier: MIT
#include "kinds.hpp"

namespace gabra::detail {
namespace {

/// Shares of the peaks by class of arithmetic: Convolution, MatrixProduct, Normalization, Elementwise, Pooling,
/// Embedding.
using Efficiencies = std::array<Efficiency, kComputeClassCount>;

/// Fit in experiments/roofline, shares of a V100's peaks; the last row, embeddings and products with their tables, is
/// our own choice: flops as for products.
constexpr Efficiencies kGpuEfficiencies{{{.flops = 0.767, .bandwidth = 0.230, .half_rows = 1412.0},
                                         {.flops = 0.792, .bandwidth = 0.214, .half_rows = 0.0},
                                         {.flops = 1.0, .bandwidth = 0.840, .half_rows = 0.0},
                                         {.flops = 1.0, .bandwidth = 0.901, .half_rows = 0.0},
                                         {.flops = 1.0, .bandwidth = 0.505, .half_rows = 0.0},
                                         {.flops = 0.792, .bandwidth = 0.5, .half_rows = 0.0}}};

/// Tokens at which the matrix products of GPT runs on A100s reach half their rate (fit to vTrain's iterations).
constexpr double kTensorCoreHalfRows = 540.0;

constexpr Efficiencies kCpuEfficiencies{{{.flops = 0.7, .bandwidth = 0.8, .half_rows = 0.0},
                                         {.flops = 0.8, .bandwidth = 0.8, .half_rows = 0.0},
                                         {.flops = 1.0, .bandwidth = 0.8, .half_rows = 0.0},
                                         {.flops = 1.0, .bandwidth = 0.8, .half_rows = 0.0},
                                         {.flops = 1.0, .bandwidth = 0.5, .half_rows = 0.0},
                                         {.flops = 0.8, .bandwidth = 0.5, .half_rows = 0.0}}};

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
  double matrix_half_rows = 0.0;
};

/// What no data sheet says.
constexpr const char* kOwnFigures =
    "; efficiencies: fit of layer times in experiments/roofline, most likely of a V100, assumed to hold here; memory "
    "of "
    "the framework 1 GiB, launch 10 us, idle power and embeddings: own choice";

DeviceKind gpu_kind(const DataSheet& sheet) {
  DeviceKind kind{.name = sheet.name,
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
                  .source = std::string(sheet.source) + kOwnFigures};
  Efficiency& products = kind.efficiency[static_cast<std::size_t>(ComputeClass::MatrixProduct)];
  products.half_rows = sheet.matrix_half_rows;
  kind.efficiency[static_cast<std::size_t>(ComputeClass::Embedding)].half_rows = sheet.matrix_half_rows;
  if (sheet.matrix_half_rows > 0.0)
    kind.source += "; half_rows of products: fitted to vTrain's GPT runs on A100s when gabra was designed";
  return kind;
}

}  // namespace

DeviceKind v100_kind() {
  return gpu_kind({"V100-SXM2", 15.7, 15.7, 32, 900, 300, 40,
                   "NVIDIA V100 data sheet; no bfloat16 units, so its peak is that of float32"});
}
DeviceKind a100_kind() {
  return gpu_kind({"A100-SXM4-80GB", 19.5, 312, 80, 2039, 400, 55, "NVIDIA A100 data sheet", kTensorCoreHalfRows});
}
DeviceKind h100_kind() {
  return gpu_kind({"H100-SXM5-80GB", 66.9, 989.4, 80, 3350, 700, 70, "NVIDIA H100 data sheet", kTensorCoreHalfRows});
}
DeviceKind h200_kind() {
  return gpu_kind({"H200-SXM5-141GB", 66.9, 989.4, 131, 4800, 700, 75, "NVIDIA H200 data sheet, 141 GB being 131 GiB",
                   kTensorCoreHalfRows});
}
DeviceKind p40_kind() {
  return gpu_kind({"P40", 11.76, 11.76, 24, 346, 250, 10,
                   "NVIDIA P40 data sheet; no bfloat16 units, so its peak is that of float32"});
}
DeviceKind rtx_2080_ti_kind() {
  return gpu_kind({"RTX-2080-Ti", 13.45, 13.45, 11, 616, 250, 15,
                   "NVIDIA Turing white paper; no bfloat16 units, so its peak is that of float32"});
}
DeviceKind rtx_3090_kind() {
  return gpu_kind({"RTX-3090", 35.6, 71, 24, 936, 350, 20, "NVIDIA Ampere GA102 white paper", kTensorCoreHalfRows});
}

DeviceKind cpu_kind() {
  return {.name = "CPU-rank",
          .peak_float32 = FlopsPerSecond(100e9),
          .peak_bfloat16 = FlopsPerSecond(100e9),
          .memory = gibibytes(8),
          .base_memory = Bytes(0),  // a CPU rank's memory is counted in tensors, and 8 GiB is what they may take
          .memory_bandwidth = BytesPerSecond(10e9),
          .launch = Seconds(10e-6),
          .idle_power = Watts(10),
          .busy_power = Watts(40),
          .communication_slowdown = 1.0,
          .copies_layout = true,
          .efficiency = kCpuEfficiencies,
          .is_calibrated = false,
          .source = "own choice: one process on a core of a small machine, everything"};
}

}  // namespace gabra::detail
