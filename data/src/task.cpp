// SPDX-License-Identifier: MIT
#include "gabra/data/cohort.hpp"
#include "text.hpp"

#include <fmt/format.h>

#include <array>
#include <initializer_list>
#include <utility>

namespace gabra::data {
namespace {

struct GroupNames {
  const char* group;
  std::initializer_list<const char*> names;  ///< in lower case, without blanks, '_', '-', '\''
};

const std::array<GroupNames, 6>& group_names() {
  static const std::array<GroupNames, 6> kNames{
      {{"AD", {"ad", "alzheimer", "alzheimers", "alzheimersdisease", "alzheimerdisease", "dementia", "dat"}},
       {"NC",
        {"nc", "cn", "hc", "control", "controls", "healthy", "healthycontrol", "healthycontrols", "cognitivelynormal",
         "normal", "normalcontrol", "nl"}},
       {"sMCI", {"smci", "stablemci", "mcis", "mcinc", "mcistable", "ncmci", "nonconvertermci"}},
       {"pMCI", {"pmci", "progressivemci", "mcip", "mcic", "cmci", "mciprogressive", "mciconverter", "convertermci"}},
       {"MCI", {"mci", "emci", "lmci", "mildcognitiveimpairment"}},
       {"SMC", {"smc", "significantmemoryconcern", "scd", "subjectivecognitivedecline"}}}};
  return kNames;
}

}  // namespace

std::optional<std::string> known_group(std::string_view text) {
  std::string plain;
  for (const char c : lower(text))
    if (c != ' ' && c != '_' && c != '-' && c != '\'') plain += c;
  for (const GroupNames& entry : group_names())
    for (const char* name : entry.names)
      if (plain == name) return entry.group;
  return std::nullopt;
}

Task make_task(const std::string& name, const std::vector<std::string>& classes, FaultList& faults) {
  if (classes.empty()) {
    if (lower(name) == "ad-nc") return {.name = "ad-nc", .classes = {"NC", "AD"}};
    if (lower(name) == "smci-pmci") return {.name = "smci-pmci", .classes = {"sMCI", "pMCI"}};
    faults.add("--task", in_quotes(name) + did_you_mean(lower(name), {"ad-nc", "smci-pmci"}),
               "ad-nc or smci-pmci; other tasks by --classes A,B");
    return {.name = name, .classes = {}};
  }
  Task task{.name = "", .classes = {}};
  if (classes.size() < 2) faults.add("--classes", fmt::format("{} class", classes.size()), "at least two classes");
  for (const std::string& text : classes) {
    const std::string own(trimmed(text));
    if (own.empty()) faults.add("--classes", "an empty name", "names of groups");
    for (const std::string& other : task.classes)
      if (lower(other) == lower(own))
        faults.add("--classes", fmt::format("{} twice", in_quotes(own)), "each class once");
    task.name += (task.classes.empty() ? "" : "-") + lower(own);
    task.classes.push_back(own);
  }
  return task;
}

}  // namespace gabra::data
