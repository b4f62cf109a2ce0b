// SPDX-License-Identifier: MIT
#include "application.hpp"
#include "calibrate_job.hpp"
#include "gabra/calibration/machine.hpp"
#include "gabra/calibration/tables.hpp"
#include "gabra/cluster/collective.hpp"
#include "gabra/cluster/presets.hpp"
#include "gabra/core/file.hpp"
#include "gabra/network/network_file.hpp"
#include "inputs.hpp"
#include "output_file.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gabra::cli {
namespace {

/// What the tables say of one cluster.
struct TableFit {
  Cluster::Description description;
  Profile profile;
  MachineFit shown;  ///< models, notes and warnings
};

class TableFitter {
 public:
  TableFitter(const Cluster& base, std::string sources)
      : base_(base), description_(base.description()), sources_(std::move(sources)) {}

  void read(const std::string& path, FaultList& faults) {
    collect_faults(faults, [&] {
      const std::string text = read_file(path);
      switch (recognise_table(text, path)) {
        case TableKind::NcclTests:
          return add(parse_nccl_tests(text, path), path, faults);
        case TableKind::VtrainAllReduce:
          return add(parse_vtrain_all_reduce(text, path), path, faults);
        case TableKind::PipedreamProfile:
          return add(layers_of_pipedream(parse_pipedream_profile(text, path)), path);
      }
    });
  }

  void fit() {
    if (!reductions_.empty()) fit_all_reduce();
    if (!work_.empty()) fit_layers();
  }

  [[nodiscard]] Cluster cluster() const { return Cluster::build(description_, "--cluster"); }
  [[nodiscard]] const Profile& profile() const { return profile_; }
  [[nodiscard]] const std::vector<ModelQuality>& models() const { return models_; }
  [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  void add(const std::vector<AllReduceRow>& rows, const std::string& path, FaultList& faults) {
    if (static_cast<std::size_t>(rows.front().devices) > base_.device_count()) {
      faults.add("--from-table", fmt::format("{}, of {} devices", path, rows.front().devices),
                 fmt::format("tables for at most the {} devices of the cluster", base_.device_count()));
      return;
    }
    // Without overheads the model's time is 2(n-1)/n S/B.
    Cluster::Description plain = base_.description();
    plain.collective = {};
    const Cluster bare = Cluster::build(std::move(plain), "--cluster");
    CollectiveModel model(bare);
    std::vector<DeviceId> group;
    for (int d = 0; d < rows.front().devices; ++d) group.emplace_back(d);
    for (const AllReduceRow& row : rows) {
      const AllReduceLayout& layout = model.all_reduce(group, row.bytes);
      if (layout.algorithm != CollectiveAlgorithm::Rings || layout.alone.value() <= 0.0) {
        faults.add("--from-table",
                   fmt::format("{}, of {} devices between which the cluster has no ring", path, row.devices),
                   "tables of groups with a ring");
        return;
      }
      const double share = 2.0 * (row.devices - 1) / row.devices;
      reductions_.push_back(
          {.devices = row.devices,
           .bytes = row.bytes,
           .seconds = row.seconds,
           .rings = BytesPerSecond(share * static_cast<double>(row.bytes.value()) / layout.alone.value()),
           .channels = layout.channels});
    }
  }

  void add(const LayerTable& table, const std::string& path) {
    const std::string& kind = description_.kinds.front().name;
    for (const LayerTable::Times& times : table.times) profile_.add(kind, times.layer, {times.sample});
    if (table.work.empty()) warnings_.push_back(path + ": no layer whose work is known from its description");
    work_.insert(work_.end(), table.work.begin(), table.work.end());
  }

  void add_model(ModelQuality model) {
    if (model.quality.median_error > model.poor_above)
      warnings_.push_back(fmt::format("the fit of {} is poor: {}", model.model, to_text(model.quality)));
    models_.push_back(std::move(model));
  }

  void fit_all_reduce() {
    CollectiveFit fit = fit_collective(reductions_, false);
    fit.parameters.tree_efficiency = description_.collective.tree_efficiency;
    fit.parameters.source = "gabra calibrate --from-table " + sources_;
    description_.collective = fit.parameters;
    const bool has_nvlinks = std::any_of(description_.links.begin(), description_.links.end(),
                                         [](const Link& link) { return link.is_nvlink; });
    for (Link& link : description_.links)
      if (link.is_nvlink || !has_nvlinks)
        link.bandwidth = BytesPerSecond(link.bandwidth.value() * fit.bandwidth_factor);
    add_model({"all-reduce",
               fmt::format("launch {}, step {}, {:.2f} more of a round, links x {:.3f}", to_text(fit.parameters.launch),
                           to_text(fit.parameters.step), fit.parameters.round_overhead, fit.bandwidth_factor),
               fit.quality, 0.1});
    std::vector<PredictedMeasured> small, large;
    for (const AllReduceSample& sample : reductions_)
      (sample.bytes.value() < (std::int64_t{16} << 20) ? small : large)
          .push_back({predict(fit, sample).value(), sample.seconds.value()});
    if (!small.empty()) add_model({"all-reduce below 16 MiB", "", quality_of(small), 0.1});
    if (!large.empty()) add_model({"all-reduce from 16 MiB", "", quality_of(large), 0.1});
  }

  void fit_layers() {
    const DeviceFit fit = fit_device(work_);
    DeviceKind& kind = description_.kinds.front();
    // Shares of the peaks that the cluster states.
    for (std::size_t c = 0; c < kComputeClassCount; ++c) {
      if (fit.by_class[c].samples == 0) continue;
      kind.efficiency[c] = {.flops = fit.efficiency[c].flops * (fit.peak / kind.peak_float32),
                            .bandwidth = fit.efficiency[c].bandwidth * (fit.bandwidth / kind.memory_bandwidth),
                            .half_rows = fit.efficiency[c].half_rows};
      add_model({fmt::format("layers, {}", kComputeClassNames[c]),
                 fmt::format("{:.2f} of the flops, {:.2f} of the bandwidth", kind.efficiency[c].flops,
                             kind.efficiency[c].bandwidth),
                 fit.by_class[c], 0.5});
    }
    kind.is_calibrated = true;
    kind.source += (kind.source.empty() ? "" : "; ") + ("efficiencies by gabra calibrate --from-table " + sources_);
  }

  const Cluster& base_;
  Cluster::Description description_;
  std::string sources_;
  std::vector<AllReduceSample> reductions_;
  std::vector<LayerWork> work_;
  Profile profile_;
  std::vector<ModelQuality> models_;
  std::vector<std::string> warnings_;
};

}  // namespace

int run_calibrate_from_tables(const FlagSet& flag_set) {
  FaultList faults;
  FlagReader flags(flag_set, faults);
  flags.refuse({"--devices", "--micro-batches", "--network", "--precision", "--optimizer", "--confidence",
                "--time-limit", "--threads-per-rank", "--seed", "--timeout", "--hosts", "--hostfile"},
               "together with --from-table");
  if (!flags.is_given("--cluster"))
    faults.add("--cluster", "nothing", "the cluster whose figures are replaced: a preset or a file");
  (void)flags.required("--output", "a file for the cluster");
  const OutputFile machine(flags, "--output");
  const OutputFile profile(flags, "--profile");
  const std::shared_ptr<const Cluster> base = InputLoader(flags, nullptr).cluster("--cluster");
  faults.throw_if_any();
  std::string names;
  for (const std::string& path : flag_set.values("--from-table"))
    names += (names.empty() ? "" : ", ") + path.substr(path.rfind('/') + 1);
  TableFitter fitter(*base, names);
  for (const std::string& path : flag_set.values("--from-table")) fitter.read(path, faults);
  faults.throw_if_any();
  fitter.fit();
  if (profile && fitter.profile().empty())
    throw_input_error("--profile", "this flag with tables of all-reduces only", "a PipeDream profile among the tables");
  MachineFit shown{.cluster = fitter.cluster(),
                   .profile = fitter.profile(),
                   .models = fitter.models(),
                   .notes = {},
                   .warnings = fitter.warnings()};
  machine.write(to_json_text(shown.cluster));
  if (profile) profile.write(to_json_text(shown.profile));
  const std::string written =
      "machine written to " + machine.path() + "\n" + (profile ? "profile written to " + profile.path() + "\n" : "");
  print_to_stdout(flags.is_on("--json") ? to_json_text(shown) : to_text(shown) + written);
  return kDone;
}

}  // namespace gabra::cli
