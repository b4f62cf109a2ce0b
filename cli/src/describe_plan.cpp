// SPDX-License-Identifier: MIT
#include "commands.hpp"
#include "gabra/plan/compiler.hpp"
#include "table.hpp"
#include "text.hpp"

#include <fmt/format.h>

namespace gabra::cli {
namespace {

std::string memory_table(const Problem& problem, const Program& program) {
  std::vector<Table::Column> columns{{"device"}};
  for (const std::string_view name : kMemoryCategoryNames) {
    if (name == "activations" || name == "buffers" || name == "workspace") continue;
    columns.push_back({std::string(name), Table::Align::Right});
  }
  columns.insert(
      columns.end(),
      {{"comes and goes, at most", Table::Align::Right}, {"peak", Table::Align::Right}, {"of", Table::Align::Right}});
  Table table(std::move(columns));
  for (const DeviceId device : program.devices) {
    std::vector<std::string> row{problem.cluster->device(device).name};
    Bytes fixed;
    for (std::size_t i = 0; i < kMemoryCategoryCount; ++i) {
      const Bytes bytes = program.static_memory[device.index()][i];
      fixed += bytes;
      const std::string_view name = kMemoryCategoryNames[i];
      if (name != "activations" && name != "buffers" && name != "workspace") row.push_back(to_text(bytes));
    }
    const Bytes peak = program.peak_memory[device.index()];
    row.insert(row.end(), {to_text(peak - fixed), to_text(peak), to_text(problem.cluster->kind_of(device).memory)});
    table.add_row(std::move(row));
  }
  return table.to_text();
}

}  // namespace

void add_describe_plan_flags(FlagSet& flags) {
  flags.add_positional("PLAN", "a plan file");
  flags.add("--cluster", "CLUSTER",
            "use this cluster in place of the plan's own; its devices must have the same names");
  flags.add("--profile", "FILE", "use these measured layer times");
  flags.add_switch("--json", "write the gabra/plan/1 file on stdout");
}

int run_describe_plan(const FlagSet& flags) {
  FaultList faults;
  FlagReader reader(flags, faults);
  InputLoader loader(reader, nullptr);
  const auto name = reader.required("PLAN", "a plan file");
  const auto file = name ? loader.plan("PLAN", loader.cluster("--cluster"), loader.profile("--profile")) : std::nullopt;
  faults.throw_if_any();
  if (reader.is_on("--json")) {
    print_to_stdout(to_json_text(*file));
    return kDone;
  }
  std::string text = problem_line(file->problem);
  if (file->seed) text += fmt::format("found by a search with seed {}\n", *file->seed);
  text += plan_table(file->problem, file->plan);
  text += fmt::format("  as --stages \"{}\"\n", to_text(file->plan.stages));
  Compiler compiler(file->problem);
  const auto compiled = compiler.compile(file->plan);
  if (const auto* reason = std::get_if<Infeasible>(&compiled)) {
    print_to_stdout(text);
    fmt::print(stderr, "gabra: the plan cannot run: {}\n", infeasible_text(*reason, *file->problem.cluster));
    return kNoFeasiblePlan;
  }
  text += "\nmemory\n" + memory_table(file->problem, std::get<Program>(compiled));
  print_to_stdout(text +
                  to_lines(notes_on(file->problem, file->problem.training.global_batch / file->plan.micro_batches)));
  return kDone;
}

}  // namespace gabra::cli
