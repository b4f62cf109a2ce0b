// SPDX-License-Identifier: MIT
#include "gabra/calibration/machine.hpp"
#include "gabra/cluster/collective.hpp"
#include "gabra/core/check.hpp"
#include "gabra/plan/cost_model.hpp"
#include "least_squares.hpp"
#include "passes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

namespace gabra {
namespace {

using detail::PassTimes;

// Median errors of models from which on a fit is called poor: of times; of memory; of messages of all sizes by two
// figures; of single layers by a few figures per class.
constexpr double kPoorTimes = 0.1;
constexpr double kPoorMemory = 0.1;
constexpr double kPoorTransfers = 0.2;
constexpr double kPoorRoofline = 0.5;
constexpr std::int64_t kSmallMessage = std::int64_t{64} << 10;  // bytes up to which the cache makes no difference
constexpr double kMostSlowdown = 20.0;                          // a device that computes nothing while it communicates
constexpr double kMostLost = 1.0 - 1.0 / kMostSlowdown;

/// Medians of one unit at one size of micro-batch.
struct UnitTimes {
  double forward = 0.0, backward = 0.0;
};

struct SizeTimes {
  std::vector<UnitTimes> units;  // together where there are several devices
  std::vector<UnitTimes> alone;
  std::vector<UnitTimes> layers_together, layers_alone;  // by layer of the network; empty: not measured
  double whole_forward = 0.0, whole_backward = 0.0;      // of a pass through everything, likewise together
  double alone_forward = 0.0, alone_backward = 0.0;
  double loss = 0.0;

  [[nodiscard]] double forward_factor() const { return factor(whole_forward, &UnitTimes::forward); }
  [[nodiscard]] double backward_factor() const { return factor(whole_backward, &UnitTimes::backward); }

 private:
  /// From units one by one to a whole pass.
  [[nodiscard]] double factor(double whole, double UnitTimes::*field) const {
    double sum = 0.0;
    for (const UnitTimes& unit : units) sum += unit.*field;
    return whole > 0.0 && sum > 0.0 ? std::clamp(whole / sum, 0.5, 2.0) : 1.0;
  }
};

class MachineFitter {
 public:
  explicit MachineFitter(const MachineSamples& samples) : samples_(samples), network_(*samples.network) {
    kind_.name = samples.device_kind;
    kind_.memory = samples.memory;
    kind_.base_memory = samples.base_memory;
    kind_.is_calibrated = true;
    kind_.measured_on = samples.measured_on;
    kind_.copies_layout = samples.measured_on && samples.measured_on->hardware == MeasuredOn::Hardware::Cpu;
    kind_.source = samples.source;
  }

  MachineFit run() {
    for (const CalibrationRun& run : samples_.runs) read(run);
    GABRA_CHECK(!sizes_.empty(), "calibration has runs of at least one size of micro-batch");
    fit_neighbours();
    note_layers_together();
    make_profile();
    fit_overheads();
    fit_update();
    fit_roofline();
    fit_links();
    fit_message_slowdowns();
    fit_all_reduce();
    fit_communication_slowdown();
    compare_kept();
    return {.cluster = build(),
            .profile = std::move(profile_),
            .models = std::move(models_),
            .notes = std::move(notes_),
            .warnings = std::move(warnings_),
            .transfers = samples_.transfers,
            .all_reduces = samples_.all_reduces};
  }

 private:
  [[nodiscard]] bool has_several() const { return samples_.devices.size() > 1; }

  void add_model(ModelQuality model) {
    if (is_poor(model.quality, model.poor_above))
      warnings_.push_back(fmt::format("the fit of {} is poor: {}", model.model, to_text(model.quality)));
    models_.push_back(std::move(model));
  }

  void read(const CalibrationRun& run);
  void fit_neighbours();
  [[nodiscard]] std::vector<UnitTimes> by_layer(const CalibrationRun& run) const;
  [[nodiscard]] std::vector<UnitTimes> layer_shares(const SizeTimes& size) const;
  void note_layers_together();
  void compare_kept();
  void make_profile();
  void fit_overheads();
  void fit_update();
  void fit_roofline();
  void fit_links();
  void fit_all_reduce();
  void scale_to_steps();
  [[nodiscard]] static Bytes reduced_bytes(const CalibrationRun& run);
  [[nodiscard]] double message_ratio();
  void fit_message_slowdowns();
  void fit_communication_slowdown();
  [[nodiscard]] Cluster build() const;
  [[nodiscard]] double parameter_traffic() const;

  const MachineSamples& samples_;
  const Network& network_;
  DeviceKind kind_;
  std::map<std::int64_t, SizeTimes> sizes_;
  std::vector<LayerWork> work_;
  Profile profile_;
  std::vector<Link> links_;
  CollectiveFit collective_;
  std::vector<AllReduceSample> all_reduces_;
  std::vector<ModelQuality> models_;
  std::vector<std::string> notes_, warnings_;
};

void MachineFitter::read(const CalibrationRun& run) {
  if (run.role == CalibrationRole::OneBucket || run.role == CalibrationRole::Pipeline) return;
  SizeTimes& size = sizes_[run.micro_batch];
  if (run.role == CalibrationRole::LayersTogether) size.layers_together = by_layer(run);
  if (run.role == CalibrationRole::LayersAlone) size.layers_alone = by_layer(run);
  std::vector<UnitTimes> medians;
  for (const PassTimes& times : detail::pass_times(run))
    medians.push_back({middle_mean(times.forward), middle_mean(times.backward)});
  switch (run.role) {
    case CalibrationRole::UnitsTogether:
      size.units = medians;
      break;
    case CalibrationRole::UnitsAlone:
      size.alone = medians;
      break;
    case CalibrationRole::WholeTogether:
      size.whole_forward = medians.front().forward;
      size.whole_backward = medians.front().backward;
      size.loss = median(detail::durations(run, Opcode::Loss));
      break;
    case CalibrationRole::WholeAlone:
      size.alone_forward = medians.front().forward;
      size.alone_backward = medians.front().backward;
      if (!has_several()) size.loss = median(detail::durations(run, Opcode::Loss));
      break;
    default:
      break;
  }
}

/// Compute together over compute alone, and what it is for single units.
void MachineFitter::fit_neighbours() {
  for (auto& [micro_batch, size] : sizes_) {
    if (has_several()) continue;
    size.units = size.alone;
    size.whole_forward = size.alone_forward;
    size.whole_backward = size.alone_backward;
  }
  if (!has_several()) return;
  std::vector<double> ratios, by_unit;
  for (const auto& [micro_batch, size] : sizes_) {
    const double alone = size.alone_forward + size.alone_backward;
    const double together = size.whole_forward + size.whole_backward;
    if (alone > 0.0 && together > 0.0) ratios.push_back(together / alone);
    for (std::size_t u = 0; u < std::min(size.units.size(), size.alone.size()); ++u) {
      const double unit_alone = size.alone[u].forward + size.alone[u].backward;
      if (unit_alone > 0.0) by_unit.push_back((size.units[u].forward + size.units[u].backward) / unit_alone);
    }
  }
  if (ratios.empty()) return;
  kind_.neighbour_slowdown = std::clamp(median(ratios), 1.0, kMostSlowdown);
  notes_.push_back(
      fmt::format("with all devices computing at once a pass takes {:.3f} times as long as alone; single units {:.2f} "
                  "to {:.2f} times",
                  median(ratios), quantile(by_unit, 0.05), quantile(by_unit, 0.95)));
}

std::vector<UnitTimes> MachineFitter::by_layer(const CalibrationRun& run) const {
  std::vector<UnitTimes> times(network_.layers().size());
  const std::vector<PassTimes> passes = detail::pass_times(run);
  const std::span<const Unit> units = samples_.by_layer->units();
  for (std::size_t u = 0; u < units.size(); ++u)  // of one layer each
    times[units[u].first.index()] = {median(passes[u].forward), median(passes[u].backward)};
  return times;
}

/// Of its unit's time, by layer.
std::vector<UnitTimes> MachineFitter::layer_shares(const SizeTimes& size) const {
  const bool is_together = has_several() && !size.layers_together.empty();
  std::vector<UnitTimes> times = is_together ? size.layers_together : size.layers_alone;
  if (times.empty()) times.assign(network_.layers().size(), {1.0, 1.0});
  std::vector<UnitTimes> shares(times.size());
  for (const Unit& unit : network_.units()) {
    UnitTimes sum;
    for (auto i = unit.first.index(); i < unit.end.index(); ++i) {
      sum.forward += times[i].forward;
      sum.backward += times[i].backward;
    }
    for (auto i = unit.first.index(); i < unit.end.index(); ++i)
      shares[i] = {sum.forward > 0.0 ? times[i].forward / sum.forward : 0.0,
                   sum.backward > 0.0 ? times[i].backward / sum.backward : 0.0};
  }
  return shares;
}

/// What single layers lose to the neighbours: products little, what memory bounds the most.
void MachineFitter::note_layers_together() {
  for (const auto& [micro_batch, size] : sizes_) {
    if (size.layers_together.empty() || size.layers_alone.empty()) continue;
    std::vector<double> ratios;
    for (std::size_t i = 0; i < size.layers_alone.size(); ++i) {
      const double alone = size.layers_alone[i].forward + size.layers_alone[i].backward;
      if (alone > 0.0) ratios.push_back((size.layers_together[i].forward + size.layers_together[i].backward) / alone);
    }
    notes_.push_back(
        fmt::format("at micro-batches of {} single layers take {:.2f} to {:.2f} times as long with all "
                    "devices computing, {:.2f} in the median",
                    micro_batch, quantile(ratios, 0.05), quantile(ratios, 0.95), median(ratios)));
  }
}

/// What layers keep, as measured, beside what the model of memory says, by which plans are judged.
void MachineFitter::compare_kept() {
  if (samples_.kept.empty()) return;
  CostModel costs({samples_.network, std::make_shared<const Cluster>(build()), nullptr, samples_.training});
  const Bytes per_sample = costs.saved_bytes(0, static_cast<std::int32_t>(network_.unit_count()));
  std::vector<PredictedMeasured> pairs;
  for (const auto& [micro_batch, layers] : samples_.kept) {
    Bytes measured;
    for (const Bytes bytes : layers) measured += bytes;
    pairs.push_back({static_cast<double>((per_sample * micro_batch).value()), static_cast<double>(measured.value())});
  }
  add_model({"kept from forward to backward", fmt::format("{} a sample, by rule", to_text(per_sample)),
             quality_of(pairs), kPoorMemory});
}

void MachineFitter::make_profile() {
  const std::int64_t element = bytes_per_element(samples_.training.precision);
  std::map<std::string, std::vector<LayerSample>> layers;
  std::vector<PredictedMeasured> pairs;
  for (const auto& [micro_batch, size] : sizes_) {
    const std::vector<UnitTimes> shares = layer_shares(size);
    const double forward = size.forward_factor() / kind_.neighbour_slowdown;
    const double backward = size.backward_factor() / kind_.neighbour_slowdown;
    const auto samples = static_cast<double>(micro_batch);
    const auto kept = samples_.kept.find(micro_batch);
    for (std::size_t u = 0; u < network_.unit_count(); ++u) {
      const Unit& unit = network_.units()[u];
      for (auto i = unit.first.index(); i < unit.end.index(); ++i) {
        const Layer& layer = network_.layers()[i];
        const LayerSample sample{micro_batch, Seconds(size.units[u].forward * shares[i].forward * forward),
                                 Seconds(size.units[u].backward * shares[i].backward * backward),
                                 kept == samples_.kept.end() ? Bytes(0) : kept->second[i]};
        layers[layer.name].push_back(sample);
        const LayerCosts& costs = layer.costs;
        const auto add = [&](Flops flops, std::int64_t elements, std::int64_t parameter_bytes, Seconds seconds) {
          work_.push_back({.compute_class = costs.compute_class,
                           .flops = flops * samples,
                           .bytes = static_cast<double>(elements * element) * samples +
                                    static_cast<double>(costs.parameters * parameter_bytes),
                           .rows = costs.rows * samples,
                           .seconds = seconds});
        };
        add(costs.forward_flops, costs.forward_elements, element, sample.forward);
        add(costs.backward_flops, costs.backward_elements, backward_parameter_bytes(samples_.training),
            sample.backward);
      }
    }
    if (size.loss > 0.0)
      layers[std::string(kLossInProfile)].push_back(
          {micro_batch, Seconds(size.loss / kind_.neighbour_slowdown), Seconds(0.0), Bytes(0)});
  }
  for (auto& [name, times] : layers) profile_.add(kind_.name, name, std::move(times));
  profile_.set_measured_with(
      {std::string(to_text(samples_.training.precision)), std::string(to_text(samples_.training.gradient_sum))});
  const CalibrationRole whole = has_several() ? CalibrationRole::WholeTogether : CalibrationRole::WholeAlone;
  for (const CalibrationRun& run : samples_.runs) {
    if (run.role != whole) continue;
    const SizeTimes& size = sizes_.at(run.micro_batch);
    for (const PassTimes& times : detail::pass_times(run)) {
      for (const double seconds : times.forward) pairs.push_back({size.whole_forward, seconds});
      for (const double seconds : times.backward) pairs.push_back({size.whole_backward, seconds});
    }
  }
  std::string factors;
  for (const auto& [micro_batch, size] : sizes_)
    factors += fmt::format("{}{}: {:.3f}, {:.3f}", factors.empty() ? "" : "; ", micro_batch, size.forward_factor(),
                           size.backward_factor());
  notes_.push_back("a whole pass over the sum of its units, forward and backward, by micro-batch: " + factors);
  add_model({"passes", fmt::format("{} layers at {} sizes", network_.layers().size(), sizes_.size()), quality_of(pairs),
             kPoorTimes});
}

void MachineFitter::fit_overheads() {
  std::vector<double> between, outside;
  for (const CalibrationRun& run : samples_.runs) {
    if (run.role == CalibrationRole::UnitsAlone)
      for (const double gap : detail::gaps(run)) between.push_back(std::max(0.0, gap));
    if (run.role == CalibrationRole::WholeTogether || run.role == CalibrationRole::WholeAlone)
      for (const Seconds seconds : run.outside) outside.push_back(std::max(0.0, seconds.value()));
  }
  kind_.instruction_overhead = Seconds(median(between));
  kind_.step_overhead = Seconds(median(outside));
  notes_.push_back(fmt::format("beside its work an instruction takes {}, and a step {}",
                               to_text(kind_.instruction_overhead), to_text(kind_.step_overhead)));
}

/// Bytes that an update of the whole network moves: everything is read, all but the gradient written.
double MachineFitter::parameter_traffic() const {
  const ParameterBytes bytes = parameter_bytes(samples_.training);
  return static_cast<double>(network_.parameters()) *
         static_cast<double>(2 * bytes.weight + bytes.gradient + 2 * bytes.optimizer_state);
}

void MachineFitter::fit_update() {
  const CalibrationRole whole = has_several() ? CalibrationRole::WholeTogether : CalibrationRole::WholeAlone;
  std::vector<double> seconds;
  for (const CalibrationRun& run : samples_.runs)
    if (run.role == whole) {
      const std::vector<double> updates = detail::durations(run, Opcode::Update);
      seconds.insert(seconds.end(), updates.begin(), updates.end());
    }
  const double middle = median(seconds);
  if (middle <= 0.0 || network_.parameters() == 0) return;
  kind_.update_bandwidth = BytesPerSecond(parameter_traffic() / middle * kind_.neighbour_slowdown);
  std::vector<PredictedMeasured> pairs;
  for (const double measured : seconds) pairs.push_back({middle, measured});
  add_model({"update",
             fmt::format("{:.3f} ns a parameter, {} of traffic",
                         middle * 1e9 / static_cast<double>(network_.parameters()), to_text(kind_.update_bandwidth)),
             quality_of(pairs), kPoorTimes});
}

void MachineFitter::fit_roofline() {
  const DeviceFit fit = fit_device(work_);
  kind_.peak_float32 = kind_.peak_bfloat16 = fit.peak;
  kind_.memory_bandwidth = fit.bandwidth;
  kind_.efficiency = fit.efficiency;
  add_model({"roofline of single layers, for networks without a profile",
             fmt::format("peak {}, {}", to_text(fit.peak), to_text(fit.bandwidth)), fit.quality, kPoorRoofline});
}

/// Messages of a step are not in the cache as a test's are: how many times as long they take as alone, where somebody
/// waits for them.
double MachineFitter::message_ratio() {
  const auto first = samples_.transfers.find({0, 1});
  if (first == samples_.transfers.end()) return 1.0;
  const LinkFit alone = fit_link(first->second);
  std::vector<double> ratios;
  for (const CalibrationRun& run : samples_.runs) {
    if (run.role != CalibrationRole::Pipeline) continue;
    for (const detail::AwaitedMessage& message : detail::awaited_messages(run))
      if (message.bytes.value() > kSmallMessage)
        ratios.push_back(message.seconds / (alone.latency + message.bytes / alone.bandwidth).value());
  }
  if (ratios.empty()) return 1.0;
  const double ratio = std::max(1.0, median(ratios));
  notes_.push_back(fmt::format("a message takes {:.2f} times as long inside a step as alone", ratio));
  return ratio;
}

/// What copying a message costs the devices that compute meanwhile, by how passes of one stage differ that had
/// messages beside them and passes that had none.
void MachineFitter::fit_message_slowdowns() {
  if (links_.empty()) return;
  LeastSquares<2> sums;
  bool has_any = false;
  for (const CalibrationRun& run : samples_.runs) {
    if (run.role != CalibrationRole::Pipeline) continue;
    has_any = true;
    std::map<std::pair<StageId, Opcode>, std::vector<detail::PassWithMessages>> groups;
    for (const detail::PassWithMessages& pass : detail::passes_with_messages(run))
      groups[{pass.stage, pass.opcode}].push_back(pass);
    for (const auto& [key, passes] : groups) {
      detail::PassWithMessages mean;
      const auto count = static_cast<double>(passes.size());
      for (const detail::PassWithMessages& pass : passes) {
        mean.seconds += pass.seconds / count;
        mean.received += pass.received / count;
        mean.sent += pass.sent / count;
      }
      const double bandwidth = links_.front().bandwidth.value();
      for (const detail::PassWithMessages& pass : passes)
        sums.add({(pass.received - mean.received) / bandwidth, (pass.sent - mean.sent) / bandwidth},
                 pass.seconds - mean.seconds, 1.0 / mean.seconds);
    }
  }
  if (!has_any) return;
  const auto [received, sent] = sums.solve_non_negative();
  const auto slowdown_of = [](double share) { return 1.0 / (1.0 - std::clamp(share, 0.0, kMostLost)); };
  const auto text_of = [](double share) {
    std::string text = fmt::format("{:.0f} %", 100.0 * std::clamp(share, 0.0, kMostLost));
    if (share > kMostLost)
      text += fmt::format(" (the most that a cluster can say; passes lose {:.1f} times as much)", share);
    return text;
  };
  kind_.receive_slowdown = slowdown_of(received);
  kind_.send_slowdown = slowdown_of(sent);
  notes_.push_back(fmt::format("while a message is received, compute loses {} of that time, while one is sent {}",
                               text_of(received), text_of(sent)));
}

void MachineFitter::fit_links() {
  const double ratio = message_ratio();
  for (auto [pair, transfers] : samples_.transfers) {
    const auto node = [&](int device) { return samples_.nodes[static_cast<std::size_t>(device)]; };
    // Measured between the first two devices: true of pairs that are on one machine, or are not, as these.
    if ((node(pair.first) == node(pair.second)) == (node(0) == node(1)))
      for (TransferSample& sample : transfers)
        if (sample.bytes.value() > kSmallMessage) sample.seconds = sample.seconds * ratio;
    const LinkFit fit = fit_link(transfers);
    const std::string name = fmt::format("{}->{}", samples_.devices[static_cast<std::size_t>(pair.first)],
                                         samples_.devices[static_cast<std::size_t>(pair.second)]);
    Link link;
    link.name = name;
    link.from = VertexId(pair.first);
    link.to = VertexId(pair.second);
    link.bandwidth = fit.bandwidth;
    link.latency = fit.latency;
    links_.push_back(link);
    add_model(
        {name, fmt::format("{} and {}", to_text(fit.latency), to_text(fit.bandwidth)), fit.quality, kPoorTransfers});
  }
}

void MachineFitter::fit_all_reduce() {
  if (samples_.all_reduces.empty()) return;
  const Cluster plain = build();
  CollectiveModel model(plain);
  for (AllReduceSample sample : samples_.all_reduces) {
    std::vector<DeviceId> group;
    for (int d = 0; d < sample.devices; ++d) group.emplace_back(d);
    const AllReduceLayout& layout = model.all_reduce(group, sample.bytes);
    if (layout.alone.value() <= 0.0 || layout.channels == 0) continue;
    sample.channels = layout.channels;
    // Nothing is added yet, so this is 2(n-1)/n S/B.
    sample.rings = BytesPerSecond(2.0 * (sample.devices - 1) / sample.devices *
                                  static_cast<double>(sample.bytes.value()) / layout.alone.value());
    // The links' latency is part of the layout's time only through CollectiveParameters.
    all_reduces_.push_back(sample);
  }
  if (all_reduces_.empty()) return;
  scale_to_steps();
  collective_ = fit_collective(all_reduces_, true);
  collective_.parameters.source = samples_.source;
  add_model({"all-reduce",
             fmt::format("launch {}, step {}, {:.2f} more of a round", to_text(collective_.parameters.launch),
                         to_text(collective_.parameters.step), collective_.parameters.round_overhead),
             collective_.quality, kPoorTransfers});
}

/// Gradients are not in the cache as a test's data are: what is not small takes as many times as long as the all-reduce
/// of all gradients does inside a step.
void MachineFitter::scale_to_steps() {
  for (const CalibrationRun& run : samples_.runs) {
    if (run.role != CalibrationRole::OneBucket || run.program.collectives.empty()) continue;
    const double inside = median(detail::durations(run, Opcode::AllReduce));
    const auto& group = run.program.collectives.back();
    AllReduceSample whole = all_reduces_.front();
    for (const AllReduceSample& known : all_reduces_)
      if (known.devices == static_cast<int>(group.devices.size()) && known.bytes >= whole.bytes) whole = known;
    if (whole.bytes.value() <= kSmallMessage || inside <= 0.0) return;
    // The test stops at a largest size; beyond it bandwidth stays what it is.
    const double ratio = inside / whole.seconds.value() * (whole.bytes / reduced_bytes(run));
    for (AllReduceSample& sample : all_reduces_)
      if (sample.bytes.value() > kSmallMessage) sample.seconds = sample.seconds * ratio;
    notes_.push_back(
        fmt::format("an all-reduce of all gradients takes {:.2f} times as long inside a step as alone", ratio));
    return;
  }
}

Bytes MachineFitter::reduced_bytes(const CalibrationRun& run) {
  Bytes most(1);
  for (const Instruction& one : run.program.instructions)
    if (one.opcode == Opcode::AllReduce) most = std::max(most, one.bytes);
  return most;
}

/// A device that computes for B loses (1 - 1/s) A of it to all-reduces of A seconds.
void MachineFitter::fit_communication_slowdown() {
  std::vector<double> lost, under_way;
  for (const CalibrationRun& run : samples_.runs) {
    if (run.role != CalibrationRole::WholeTogether || all_reduces_.empty()) continue;
    const double undisturbed = sizes_.at(run.micro_batch).whole_backward;
    for (const detail::OverlappedBackward& one : detail::overlapped_backwards(run)) {
      double reductions = 0.0;
      for (const auto& [bytes, devices] : one.reductions) {
        AllReduceSample sample = all_reduces_.front();
        for (const AllReduceSample& known : all_reduces_)
          if (known.devices == devices) sample = known;
        sample.bytes = bytes;
        reductions += predict(collective_, sample).value();
      }
      lost.push_back(one.seconds - undisturbed);
      under_way.push_back(reductions);
    }
  }
  const double communication = median(under_way);
  if (communication <= 0.0) {
    if (has_several()) warnings_.emplace_back("no all-reduce ran beside compute: communication_slowdown stays 1");
    return;
  }
  const double share = std::clamp(median(lost) / communication, 0.0, kMostLost);
  kind_.communication_slowdown = 1.0 / (1.0 - share);
  notes_.push_back(fmt::format("while an all-reduce runs, compute loses {:.0f} % of that time ({} of {})",
                               100.0 * share, to_text(Seconds(std::max(0.0, median(lost)))),
                               to_text(Seconds(communication))));
}

Cluster MachineFitter::build() const {
  Cluster::Description description;
  description.name = samples_.name;
  description.kinds.push_back(kind_);
  for (std::size_t d = 0; d < samples_.devices.size(); ++d)
    description.devices.push_back({.name = samples_.devices[d], .kind = DeviceKindId(0), .node = samples_.nodes[d]});
  description.links = links_;
  description.collective = collective_.parameters;
  description.sources.push_back(samples_.source);
  return Cluster::build(std::move(description), "the calibrated machine");
}

}  // namespace

MachineFit fit_machine(const MachineSamples& samples) { return MachineFitter(samples).run(); }

}  // namespace gabra
