// SPDX-License-Identifier: MIT
#include "gabra/cluster/collective.hpp"
#include "gabra/cluster/presets.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace gabra {
namespace {

// All-reduces measured by the authors of vTrain, 1 MiB to 1 GiB in steps of 1 MiB.

struct Sample {
  std::int64_t bytes = 0;
  double seconds = 0.0;
};

std::vector<Sample> read_samples(const std::string& path) {
  std::ifstream file(path);
  std::vector<Sample> samples;
  std::string line;
  std::getline(file, line);  // names of the columns
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::vector<std::string> columns;
    for (std::string field; std::getline(fields, field, ',');) columns.push_back(field);
    if (columns.size() >= 4) samples.push_back({std::stoll(columns[0]), std::stod(columns[3]) * 1e-9});
  }
  return samples;
}

struct Errors {
  std::vector<double> small;  // 1 to 16 MiB
  std::vector<double> large;  // from 16 MiB
  void add(std::int64_t bytes, double error) {
    constexpr std::int64_t kLimit = std::int64_t{16} << 20;
    if (bytes <= kLimit) small.push_back(error);
    if (bytes >= kLimit) large.push_back(error);
  }
  void add(const Errors& other) {
    small.insert(small.end(), other.small.begin(), other.small.end());
    large.insert(large.end(), other.large.begin(), other.large.end());
  }
  [[nodiscard]] double mean_small() const {
    double sum = 0.0;
    for (const double error : small) sum += error;
    return sum / static_cast<double>(small.size());
  }
  [[nodiscard]] double median_large() const {
    std::vector<double> sorted = large;
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() / 2];
  }
};

Errors compare(const std::string& preset, const std::string& machine) {
  const Cluster cluster = make_preset_cluster(preset);
  CollectiveModel model(cluster);
  Errors pooled;
  for (const int count : {2, 4, 8}) {
    std::vector<DeviceId> devices;
    for (int i = 0; i < count; ++i) devices.emplace_back(i);
    const std::vector<Sample> samples = read_samples(std::string(GABRA_DATA_DIR) + "/vtrain_allreduce/" + machine +
                                                     "_" + std::to_string(count) + "gpu.txt");
    EXPECT_EQ(samples.size(), 1024U);
    Errors errors;
    for (const Sample& sample : samples)
      errors.add(sample.bytes,
                 std::abs(model.all_reduce(devices, Bytes(sample.bytes)).alone.value() / sample.seconds - 1));
    std::printf("%s, %d GPUs: mean error 1 to 16 MiB %.2f %%, median from 16 MiB %.2f %%\n", preset.c_str(), count,
                100 * errors.mean_small(), 100 * errors.median_large());
    EXPECT_LE(errors.mean_small(), 0.07) << preset << " " << count;
    pooled.add(errors);
  }
  std::printf("%s, pooled: mean error 1 to 16 MiB %.2f %%, median from 16 MiB %.2f %%\n", preset.c_str(),
              100 * pooled.mean_small(), 100 * pooled.median_large());
  return pooled;
}

bool has_data() { return std::filesystem::exists(GABRA_DATA_DIR); }

TEST(MeasuredAllReduce, A100NodeWithinOnePercent) {
  if (!has_data()) GTEST_SKIP() << "no folder " << GABRA_DATA_DIR;
  const Errors errors = compare("dgx-a100", "a100");
  EXPECT_LE(errors.median_large(), 0.01);
  EXPECT_LE(errors.mean_small(), 0.07);
}

TEST(MeasuredAllReduce, V100CubeMeshWithinTwoPercent) {
  if (!has_data()) GTEST_SKIP() << "no folder " << GABRA_DATA_DIR;
  const Errors errors = compare("dgx1-v100", "v100");
  EXPECT_LE(errors.median_large(), 0.02);
  EXPECT_LE(errors.mean_small(), 0.07);
}

}  // namespace
}  // namespace gabra
