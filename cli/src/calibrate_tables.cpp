// SPDX-License-Identifier: MIT
#include "application.hpp"
#include "calibrate_job.hpp"
#include "gabra/calibration/table_fit.hpp"
#include "gabra/calibration/tables.hpp"
#include "gabra/cluster/presets.hpp"
#include "gabra/core/file.hpp"
#include "gabra/network/network_file.hpp"
#include "inputs.hpp"
#include "output_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

namespace gabra::cli {
namespace {

/// Files of the folder in the order of their names.
std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    if (entry.is_regular_file(error)) files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  return files;
}

[[noreturn]] void refuse_iterations(const std::string& path) {
  throw_input_error(
      path, "times of whole training steps, which tell neither layers nor links apart",
      "tables of all-reduces, messages or layers; experiments/prediction_error/run.py --fit fits a cluster "
      "to these, and experiments/prediction_error/dgx-a100-megatron.json is the result");
}

/// A folder is no table: it may hold tables of several machines, which nothing but its user can tell apart.
[[noreturn]] void refuse_folder(const std::string& folder) {
  for (const std::string& file : files_in(folder)) {
    bool is_iterations = false;
    FaultList ignored;
    collect_faults(ignored,
                   [&] { is_iterations = recognise_table(read_file(file), file) == TableKind::VtrainIterations; });
    if (is_iterations) refuse_iterations(file);
  }
  throw_input_error(folder, "a folder", "a file; every table of one machine has a --from-table of its own");
}

/// What is read of each table.
class TableReader {
 public:
  TableReader(TableFitter& fitter, FaultList& faults) : fitter_(fitter), faults_(faults) {}

  void read(const std::string& path) {
    collect_faults(faults_, [&] {
      std::error_code error;
      if (std::filesystem::is_directory(path, error)) refuse_folder(path);
      const std::string text = read_file(path);
      switch (recognise_table(text, path)) {
        case TableKind::NcclTests:
          return add(parse_nccl_tests(text, path));
        case TableKind::VtrainAllReduce:
          return fitter_.add(parse_vtrain_all_reduce(text, path), faults_);
        case TableKind::VtrainIterations:
          refuse_iterations(path);
        case TableKind::PipedreamProfile:
          has_layers_ = true;
          return fitter_.add(layers_of_pipedream(parse_pipedream_profile(text, path)), faults_);
      }
    });
  }

  [[nodiscard]] bool has_layers() const { return has_layers_; }
  [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  void add(const CommunicationTables& read) {
    for (const CommunicationTable& table : read.tables) fitter_.add(table, faults_);
    warnings_.insert(warnings_.end(), read.warnings.begin(), read.warnings.end());
  }

  TableFitter& fitter_;
  FaultList& faults_;
  bool has_layers_ = false;
  std::vector<std::string> warnings_;
};

std::string kind_of_layers(FlagReader& flags, const Cluster& cluster) {
  std::string name = flags.text("--device-kind").value_or("");
  std::vector<std::string> names;
  for (const DeviceKind& kind : cluster.description().kinds) names.push_back(kind.name);
  if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end())
    flags.faults().add("--device-kind", in_quotes(name) + did_you_mean(name, names),
                       fmt::format("a kind of device of the cluster: {}", fmt::join(names, ", ")));
  return name;
}

}  // namespace

int run_calibrate_from_tables(const FlagSet& flag_set) {
  FaultList faults;
  FlagReader flags(flag_set, faults);
  flags.refuse({"--devices", "--micro-batches", "--network", "--precision", "--optimizer", "--gradient-sum",
                "--confidence", "--time-limit", "--threads-per-rank", "--seed", "--timeout", "--hosts", "--hostfile"},
               "together with --from-table");
  if (!flags.is_given("--cluster"))
    faults.add("--cluster", "nothing", "the cluster whose figures are replaced: a preset or a file");
  (void)flags.required("--output", "a file for the cluster");
  const OutputFile machine(flags, "--output");
  const OutputFile profile(flags, "--profile");
  const std::shared_ptr<const Cluster> base = InputLoader(flags, nullptr).cluster("--cluster");
  TableOptions options{.sources = {}, .device_kind = {}, .wants_profile = static_cast<bool>(profile)};
  if (base != nullptr) options.device_kind = kind_of_layers(flags, *base);
  faults.throw_if_any();
  for (const std::string& path : flag_set.values("--from-table"))
    options.sources += (options.sources.empty() ? "" : ", ") + path.substr(path.rfind('/') + 1);
  TableFitter fitter(*base, options);
  TableReader reader(fitter, faults);
  for (const std::string& path : flag_set.values("--from-table")) reader.read(path);
  if (!reader.has_layers() && faults.empty())
    flags.refuse({"--profile", "--device-kind"}, "without a PipeDream profile among the tables");
  faults.throw_if_any();
  MachineFit fit = fitter.fit();
  fit.warnings.insert(fit.warnings.begin(), reader.warnings().begin(), reader.warnings().end());
  machine.write(to_json_text(fit.cluster));
  if (profile) profile.write(to_json_text(fit.profile));
  const std::string written =
      "machine written to " + machine.path() + "\n" + (profile ? "profile written to " + profile.path() + "\n" : "");
  print_to_stdout(flags.is_on("--json") ? to_json_text(fit) : to_text(fit) + written);
  return kDone;
}

}  // namespace gabra::cli
