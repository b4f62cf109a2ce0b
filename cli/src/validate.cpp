// SPDX-License-Identifier: MIT
#include "commands.hpp"
#include "gabra/calibration/comparison.hpp"
#include "gabra/core/file.hpp"
#include "gabra/sim/sim_evaluator.hpp"
#include "mpirun.hpp"
#include "output_file.hpp"
#include "text.hpp"
#include "validate_job.hpp"
#include "validate_output.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace gabra::cli {
namespace {

/// A file name of its own that is gone when this is.
class TemporaryFile {
 public:
  TemporaryFile() : path_((std::filesystem::temp_directory_path() / "gabra-measured-XXXXXX").string()) {
    const int file = ::mkstemp(path_.data());
    if (file < 0) throw_input_error(path_, "a file that cannot be made", "a writable folder for temporary files");
    ::close(file);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { ::unlink(path_.c_str()); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// The plan simulated; nothing where it does not fit.
std::optional<ComparedStep> simulate(const exec::ValidateJob::Item& item, MeasuredPlan measured) {
  sim::SimEvaluator evaluator(item.file.problem);
  auto compiled = evaluator.compiler().compile(item.file.plan);
  if (const auto* reason = std::get_if<Infeasible>(&compiled)) {
    fmt::print(stderr, "gabra: {} cannot run: {}\n", item.path, infeasible_text(*reason, *item.file.problem.cluster));
    return std::nullopt;
  }
  auto& program = std::get<Program>(compiled);
  sim::Simulation simulation = evaluator.simulator().run(program);
  std::string name = std::filesystem::path(item.path).stem().string();
  return ComparedStep{.name = std::move(name),
                      .problem = item.file.problem,
                      .plan = item.file.plan,
                      .program = std::move(program),
                      .predicted = std::move(simulation.timeline),
                      .predicted_report = std::move(simulation.report),
                      .measured = std::move(measured)};
}

}  // namespace

int run_validate(const FlagSet& flag_set, char** arguments) {
  const exec::ValidateJob job = read_validate_job(flag_set);
  FaultList faults;
  FlagReader flags(flag_set, faults);
  const OutputFile html(flags, "--html");
  const OutputFile trace(flags, "--trace");
  flags.refuse({"--measured"}, "given to gabra");
  faults.throw_if_any();
  const TemporaryFile file;
  std::vector<std::string> words = arguments_behind(arguments);
  words.insert(words.end(), {"--measured", file.path()});
  set_rank_environment(job.threads_per_rank, job.is_quiet);
  const int status = run_ranks(mpirun_words(flags, static_cast<std::size_t>(job.ranks), words), "the validation");
  if (status != kDone) return status;
  std::vector<MeasuredPlan> measured = parse_measured_plans(read_file(file.path()), file.path());
  std::vector<ComparedStep> steps;
  std::vector<PlanComparison> comparisons;
  for (std::size_t i = 0; i < job.plans.size(); ++i)
    if (auto step = simulate(job.plans[i], std::move(measured.at(i)))) {
      comparisons.push_back(compare(*step));
      steps.push_back(std::move(*step));
    }
  if (steps.empty()) return kNoFeasiblePlan;
  if (html) html.write(to_html(steps, comparisons));
  if (trace) trace.write(to_perfetto_comparison(steps.front()));
  print_to_stdout(flags.is_on("--json") ? validate_json(steps, comparisons) : validate_text(steps, comparisons));
  return kDone;
}

}  // namespace gabra::cli
