// SPDX-License-Identifier: MIT
#include "command.hpp"
#include "gabra/plan/plan_file.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace gabra::test {
namespace {

using nlohmann::json;

/// The section of docs/formats.md below a heading.
std::string section(const std::string& heading) {
  const std::string text = read_text(GABRA_SOURCE_DIR "/docs/formats.md");
  const std::size_t begin = text.find("\n## " + heading + "\n");
  EXPECT_NE(begin, std::string::npos) << heading;
  return text.substr(begin, text.find("\n## ", begin + 1) - begin);
}

std::string example(const std::string& heading) {
  const std::string text = section(heading);
  const std::size_t begin = text.find("```json\n") + 8;
  return text.substr(begin, text.find("```", begin) - begin);
}

/// Every field of the example is one of the real document, with a value of the same type; lists by their first items of
/// the same kind. `actual` lists are searched for an item that has the example item's fields.
void expect_fields(const json& documented, const json& actual, const std::string& path) {
  if (documented.is_number() && actual.is_number()) return;
  ASSERT_EQ(documented.type_name(), std::string(actual.type_name())) << path;
  if (documented.is_object()) {
    for (const auto& [key, value] : documented.items()) {
      ASSERT_TRUE(actual.contains(key)) << path << "." << key;
      expect_fields(value, actual.at(key), path + "." + key);
    }
  } else if (documented.is_array()) {
    for (const json& item : documented) {
      const json* like = nullptr;
      for (const json& candidate : actual) {
        const bool has_all =
            !item.is_object() || std::all_of(item.items().begin(), item.items().end(),
                                             [&](const auto& field) { return candidate.contains(field.key()); });
        const bool is_same_event = !item.is_object() || !item.contains("ph") || candidate.at("ph") == item.at("ph");
        if (like == nullptr && has_all && is_same_event) like = &candidate;
      }
      ASSERT_NE(like, nullptr) << path << ": nothing like " << item.dump();
      expect_fields(item, *like, path + "[]");
    }
  }
}

class Formats : public ::testing::Test {
 protected:
  json run(const std::string& line) {
    const Outcome result = run_gabra(split_words(line), folder_.path());
    EXPECT_EQ(result.status, 0) << result.err;
    return json::parse(result.out);
  }
  [[nodiscard]] static std::string small_step() {
    const std::string golden = GABRA_SOURCE_DIR "/tests/cli/golden/";
    return "simulate --network " + golden + "network.json --cluster " + golden +
           "cluster.json --global-batch 8 --micro-batches 4 --stages '0@d0,d1 1-2@d2' --json ";
  }
  /// Every field of `document` is named in the section, in the example or in backquotes.
  static void expect_named(const json& document, const std::string& heading) {
    const std::string text = section(heading);
    for (const auto& [key, value] : document.items())
      EXPECT_TRUE(text.find('`' + key + '`') != std::string::npos || text.find('"' + key + '"') != std::string::npos)
          << heading << " does not name " << key;
  }

  TemporaryFolder folder_;
};

TEST_F(Formats, PlanExampleIsAPlan) {
  const PlanFile file = parse_plan(example("gabra/plan/1"), "docs/formats.md");
  EXPECT_EQ(file.plan.stages.size(), 2U);
  EXPECT_EQ(file.profile_fingerprint, 0x00c0ffee00c0ffeeU);
  write_text(folder_.file("plan.json"), example("gabra/plan/1"));
  (void)run("simulate --plan plan.json --json");
  expect_named(json::parse(to_json_text(file)), "gabra/plan/1");
}

TEST_F(Formats, ReportTimelineAndTraceExamplesHaveTheRealFields) {
  const json report = run(small_step() + "--timeline timeline.json --trace trace.json");
  expect_fields(json::parse(example("gabra/report/1")), report, "$");
  expect_named(report, "gabra/report/1");
  const json timeline = json::parse(read_text(folder_.file("timeline.json")));
  expect_fields(json::parse(example("gabra/timeline/1")), timeline, "$");
  expect_named(timeline, "gabra/timeline/1");
  for (const json& span : timeline.at("spans")) expect_named(span, "gabra/timeline/1");
  const json trace = json::parse(read_text(folder_.file("trace.json")));
  expect_fields(json::parse(example("gabra/trace/1")), trace, "$");
}

TEST_F(Formats, OptimizeAddsTheFieldsThatAreNamed) {
  const json report =
      run("optimize --network resnet-18 --cluster workstation-2 --global-batch 4 --max-evaluations 20 --json");
  expect_named(report, "gabra/report/1");
}

TEST_F(Formats, CollectiveExampleHasTheRealFields) {
  const json result = run("simulate --collective all-reduce --bytes 64MiB --devices 0,1,2 --cluster dgx1-v100 --json");
  expect_fields(json::parse(example("gabra/collective/1")), result, "$");
  expect_named(result, "gabra/collective/1");
}

}  // namespace
}  // namespace gabra::test
