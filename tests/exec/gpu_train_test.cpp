// SPDX-License-Identifier: MIT
// `gabra train --device`: a training that is gone on with ends as one that was not interrupted, on the CPU bit for bit,
// on GPUs, whose sums are in no fixed order, nearly; and both train alike. The GPU's part is skipped, visibly, where
// there are too few.
#include "support/lone_device.hpp"
#include "support/training_case.hpp"

#include <cmath>

namespace gabra::test {
namespace {

using nlohmann::json;

struct TrainedOn {
  const char* device;
  int ranks;
  const char* precision;
};
std::ostream& operator<<(std::ostream& out, const TrainedOn& one) {
  return out << one.device << "_" << one.ranks << "_" << one.precision;
}

class TrainOn : public TrainingCase, public testing::WithParamInterface<TrainedOn> {
 protected:
  void SetUp() override {
    const auto type = is_cuda() ? c10::DeviceType::CUDA : c10::DeviceType::CPU;
    if (const std::string reason = exec::why_not_on(type, GetParam().ranks); !reason.empty()) GTEST_SKIP() << reason;
  }
  [[nodiscard]] static bool is_cuda() { return std::string(GetParam().device) == "cuda"; }
};

/// Within a share of the first loss: what is left of it after some steps is small.
void expect_near(const json& losses, std::size_t first, const json& expected, double tolerance) {
  const double scale = std::abs(expected.at(0).get<double>());
  for (std::size_t i = 0; i < losses.size(); ++i)
    EXPECT_NEAR(losses[i].get<double>(), expected.at(first + i).get<double>(), tolerance * scale)
        << "step " << first + i + 1;
}

TEST_P(TrainOn, GoesOnFromACheckpoint) {
  const TrainedOn& on = GetParam();
  // Large enough for batch norm to have more than two values per channel.
  make_plan("plan", on.ranks == 1 ? "0-12@0" : "0-5@0,1 6-12@1", "--precision " + std::string(on.precision),
            "3d-resattnet-18:width=8,input=1x64x64x64");
  const std::string line = "train --plan plan.json --synthetic --learning-rate 0.01 --device ";
  const std::string here = line + on.device + " --steps ";
  const json whole = run_json(here + "4 --checkpoint-dir whole");
  (void)run(here + "2 --checkpoint-dir parts");
  const json resumed = run_json(here + "4 --checkpoint-dir parts --resume");
  EXPECT_EQ(resumed.at("first_step"), 3);
  ASSERT_EQ(resumed.at("losses").size(), 2U);
  const double tolerance = std::string(on.precision) == "bfloat16" ? 2e-2 : 1e-3;
  expect_near(resumed.at("losses"), 2, whole.at("losses"), tolerance);
  expect_near(whole.at("losses"), 0, run_json(line + "cpu --steps 4").at("losses"), tolerance);
  for (const json& device : whole.at("devices")) EXPECT_GT(device.at("peak_memory_bytes").get<double>(), 1e5);
  if (is_cuda()) return;
  EXPECT_EQ(read_text(folder_.file("parts/step-000004.pt")), read_text(folder_.file("whole/step-000004.pt")));
}

INSTANTIATE_TEST_SUITE_P(All, TrainOn,
                         testing::Values(TrainedOn{"cpu", 1, "float32"}, TrainedOn{"cpu", 1, "bfloat16"},
                                         TrainedOn{"cuda", 1, "float32"}, TrainedOn{"cuda", 1, "bfloat16"},
                                         TrainedOn{"cuda", 2, "float32"}),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace gabra::test
