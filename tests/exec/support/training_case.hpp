// SPDX-License-Identifier: MIT
#pragma once

#include "../../cli/command.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <sstream>
#include <string>
#include <vector>

namespace gabra::test {

/// A folder with plans of one small network, and the real command.
class TrainingCase : public ::testing::Test {
 protected:
  static constexpr const char* kNetwork = "3d-resattnet-18:width=8,input=1x16x16x16";

  Outcome run(const std::string& line, int status = 0) {
    Outcome result = run_gabra(split_words(line), folder_.path());
    EXPECT_EQ(result.status, status) << line << "\n" << result.out << result.err;
    return result;
  }
  nlohmann::json run_json(const std::string& line) { return nlohmann::json::parse(run(line + " --json").out); }

  /// Writes NAME.json, a plan for devices of workstation-cpu; `more` are flags of `gabra simulate`.
  void make_plan(const std::string& name, const std::string& stages, const std::string& more = "",
                 const std::string& network = kNetwork, int micro_batches = 4) {
    (void)run("simulate --network " + network + " --cluster workstation-cpu:gpus=3 --global-batch 8 --micro-batches " +
              std::to_string(micro_batches) +
              " "
              "--stages '" +
              stages + "' " + more + " -o " + name + ".json --json");
  }

  [[nodiscard]] std::vector<nlohmann::json> read_log(const std::string& name, const std::string& kind) const {
    std::vector<nlohmann::json> lines;
    std::istringstream text(read_text(folder_.file(name)));
    for (std::string line; std::getline(text, line);) {
      lines.push_back(nlohmann::json::parse(line));
      if (lines.back().at("kind") != kind) lines.pop_back();
    }
    return lines;
  }

  TemporaryFolder folder_;
};

}  // namespace gabra::test
