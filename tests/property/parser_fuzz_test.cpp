// SPDX-License-Identifier: MIT
#include "gabra/cluster/presets.hpp"
#include "gabra/core/error.hpp"
#include "gabra/core/file.hpp"
#include "gabra/core/rng.hpp"
#include "gabra/network/network_file.hpp"
#include "gabra/network/profile.hpp"
#include "gabra/network/zoo.hpp"
#include "gabra/plan/plan_file.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

// Seeded mutations, of bytes and of structure, of every example in docs/formats.md and of files that the program
// writes. A parser may accept or throw InputError with at least one fault, each with a place. Nothing else: a crash
// ends the test, any other exception fails it, a hang runs into ctest's timeout.

namespace gabra {
namespace {

using Json = nlohmann::ordered_json;

struct Format {
  std::string name;  ///< of the schema
  std::function<void(const std::string& text)> parse;
};

const std::vector<Format>& formats() {
  static const std::vector<Format> kFormats{
      {"network", [](const std::string& text) { (void)parse_network(text, "f.json"); }},
      {"cluster", [](const std::string& text) { (void)parse_cluster(text, "f.json"); }},
      {"profile", [](const std::string& text) { (void)parse_profile(text, "f.json"); }},
      {"plan", [](const std::string& text) { (void)parse_plan(text, "f.json"); }}};
  return kFormats;
}

/// Every ```json block of docs/formats.md with the format's schema.
std::vector<std::string> examples(const std::string& name) {
  const std::string text = read_file(GABRA_SOURCE_DIR "/docs/formats.md");
  std::vector<std::string> result;
  const std::string fence = "```json\n";
  for (std::size_t at = text.find(fence); at != std::string::npos; at = text.find(fence, at + 1)) {
    const std::size_t begin = at + fence.size();
    std::string block = text.substr(begin, text.find("```", begin) - begin);
    if (Json::parse(block).value("schema", "") == "gabra/" + name + "/1") result.push_back(std::move(block));
  }
  return result;
}

void expect_fault_or_success(const Format& format, const std::string& text, const std::string& what) {
  try {
    format.parse(text);
  } catch (const InputError& error) {
    EXPECT_FALSE(error.faults().empty()) << what;
    for (const Fault& fault : error.faults()) {
      EXPECT_FALSE(fault.where.empty()) << what << ": " << error.what();
      EXPECT_FALSE(fault.seen.empty()) << what << ": " << error.what();
    }
  } catch (const std::exception& error) {
    ADD_FAILURE() << what << ": " << error.what() << "\n" << text.substr(0, 2000);
  }
}

/// One to four edits of bytes.
std::string mutated_bytes(std::string text, Rng& rng) {
  static const std::vector<std::string> kPieces{"",
                                                "\"",
                                                "{",
                                                "}",
                                                "[",
                                                "]",
                                                ",",
                                                ":",
                                                "-",
                                                "0",
                                                "1e999",
                                                "-1",
                                                "null",
                                                "\\",
                                                "\n",
                                                "\xff",
                                                std::string(1, '\0'),
                                                "\\ud800",
                                                "//",
                                                "9999999999999999999999",
                                                "true",
                                                " B/s",
                                                "\xf0\x9f\x98\x80"};
  for (std::uint64_t edits = 1 + rng.below(4); edits > 0 && !text.empty(); --edits) {
    const std::size_t at = rng.below(text.size());
    const std::size_t length = rng.below(std::min<std::size_t>(8, text.size() - at) + 1);
    switch (rng.below(5)) {
      case 0:
        text[at] = static_cast<char>(rng.below(256));
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(at, text.substr(rng.below(text.size()), rng.below(64)));
        break;
      case 3:
        text.replace(at, length, kPieces[rng.below(kPieces.size())]);
        break;
      default:
        if (rng.chance(0.2)) text.resize(at);
    }
  }
  return text;
}

/// A pointer to every value in the document.
void collect(Json& value, std::vector<Json*>& all) {
  all.push_back(&value);
  if (value.is_structured())
    for (Json& child : value) collect(child, all);
}

Json strange_value(Rng& rng, const std::vector<Json*>& all) {
  static const std::vector<Json> kValues{nullptr,
                                         true,
                                         0,
                                         -1,
                                         1,
                                         2,
                                         0.5,
                                         -0.0,
                                         1e308,
                                         1e-320,
                                         std::numeric_limits<std::int64_t>::max(),
                                         std::numeric_limits<std::int64_t>::min(),
                                         std::numeric_limits<std::uint64_t>::max(),
                                         std::int64_t{1} << 31,
                                         "",
                                         "x",
                                         "0 B",
                                         "1 B",
                                         "-1 B/s",
                                         "1e308 GB/s",
                                         "8 EiB",
                                         "0 s",
                                         "1e-300 s",
                                         "1 W",
                                         std::string(1000, 'a'),
                                         "\xc3\xa9\xe2\x82\xac",
                                         Json::array(),
                                         Json::object(),
                                         Json::array({1, 1, 1, 1, 1, 1, 1})};
  if (rng.chance(0.3)) return *all[rng.below(all.size())];
  return kValues[rng.below(kValues.size())];
}

/// One to three edits of structure: values replaced, doubled, dropped, renamed, exchanged.
std::string mutated_structure(const std::string& text, Rng& rng) {
  Json document = Json::parse(text);
  for (std::uint64_t edits = 1 + rng.below(3); edits > 0; --edits) {
    std::vector<Json*> all;
    collect(document, all);
    Json& value = *all[rng.below(all.size())];
    switch (rng.below(4)) {
      case 0:
        value = strange_value(rng, all);
        break;
      case 1:
        if (value.is_structured() && !value.empty()) {
          auto item = value.begin();
          std::advance(item, static_cast<std::ptrdiff_t>(rng.below(value.size())));
          value.erase(item);
        }
        break;
      case 2:
        if (value.is_array() && !value.empty())
          value.push_back(Json(value[rng.below(value.size())]));
        else if (value.is_object())
          value["unknown"] = strange_value(rng, all);
        break;
      default: {
        Json other = *all[rng.below(all.size())];
        value = std::move(other);
      }
    }
    if (document.dump().size() > 200000) break;
  }
  return document.dump();
}

void fuzz(const Format& format, const std::string& text, std::uint64_t seed, int count) {
  EXPECT_NO_THROW(format.parse(text)) << format.name;
  for (int i = 0; i < count; ++i) {
    Rng rng = Rng::substream(seed, static_cast<std::uint64_t>(i));
    const std::string what = format.name + ", seed " + std::to_string(seed) + ", mutation " + std::to_string(i);
    expect_fault_or_success(format, i % 2 == 0 ? mutated_bytes(text, rng) : mutated_structure(text, rng), what);
  }
}

TEST(ParserFuzz, ExamplesOfTheDocumentation) {
  std::uint64_t seed = 1;
  for (const Format& format : formats()) {
    const auto texts = examples(format.name);
    ASSERT_FALSE(texts.empty()) << "docs/formats.md has no example of " << format.name;
    for (const std::string& text : texts) fuzz(format, text, seed++, 4000);
  }
}

TEST(ParserFuzz, FilesThatTheProgramWrites) {
  PlanFile file;
  file.problem.network = std::make_shared<const Network>(make_zoo_network("3d-resattnet-18:width=8,input=1x32x32x32"));
  file.problem.cluster = std::make_shared<const Cluster>(make_preset_cluster("workstation-2"));
  file.plan.micro_batches = 4;
  file.plan.stages = {{.first_unit = 0, .end_unit = 5, .devices = {DeviceId(0), DeviceId(1)}},
                      {.first_unit = 5, .end_unit = 13, .devices = {DeviceId(1)}}};
  file.seed = 1;
  fuzz(formats()[0], to_json_text(*file.problem.network), 101, 800);
  fuzz(formats()[1], to_json_text(make_preset_cluster("dgx1-v100:nodes=2")), 102, 800);
  fuzz(formats()[3], to_json_text(file), 103, 800);
}

TEST(ParserFuzz, TextsOnTheCommandLine) {
  const Network network = make_zoo_network("3d-resattnet-18:width=8,input=1x32x32x32");
  const Cluster cluster = make_preset_cluster("workstation-2");
  const std::vector<std::pair<std::string, std::function<void(const std::string&)>>> kTexts{
      {"3d-resattnet-18:width=8,input=1x16x16x16", [](const std::string& text) { (void)make_zoo_network(text); }},
      {"gpt:layers=2,hidden=64,heads=4,sequence=16,vocabulary=100",
       [](const std::string& text) { (void)make_zoo_network(text); }},
      {"dgx-a100:nodes=2,fabric=200Gbit/s", [](const std::string& text) { (void)make_preset_cluster(text); }},
      {"0-4@0,1/always 5-12@GPU1/except_last",
       [&](const std::string& text) { (void)parse_stages(text, network, cluster); }}};
  std::uint64_t seed = 201;
  for (const auto& [text, parse] : kTexts) {
    const Format format{text, parse};
    EXPECT_NO_THROW(parse(text)) << text;
    for (int i = 0; i < 1500; ++i) {
      Rng rng = Rng::substream(seed, static_cast<std::uint64_t>(i));
      expect_fault_or_success(format, mutated_bytes(text, rng), text + ", mutation " + std::to_string(i));
    }
    ++seed;
  }
}

TEST(ParserFuzz, PipeDreamProfiles) {
  const std::string text =
      "node1 -- Input0 -- forward_compute_time=0.000, backward_compute_time=0.000, activation_size=100.0, "
      "parameter_size=0.000\n"
      "node2 -- Conv2d(3, 64) -- forward_compute_time=1.5, backward_compute_time=3.0, activation_size=6400.0, "
      "parameter_size=7000.000\n"
      "node3 -- ReLU -- forward_compute_time=0.1, backward_compute_time=0.2, activation_size=6400.0, "
      "parameter_size=0.000\n\tnode1 -- node2\n\tnode2 -- node3\n";
  const Format format{"PipeDream",
                      [](const std::string& mutated) { (void)parse_pipedream_profile(mutated, "f.txt", 64); }};
  EXPECT_NO_THROW(format.parse(text));
  for (int i = 0; i < 3000; ++i) {
    Rng rng = Rng::substream(301, static_cast<std::uint64_t>(i));
    expect_fault_or_success(format, mutated_bytes(text, rng), "PipeDream, mutation " + std::to_string(i));
  }
}

}  // namespace
}  // namespace gabra
