// SPDX-License-Identifier: MIT
#include "commands.hpp"
#include "gabra/network/network_file.hpp"
#include "gabra/network/zoo.hpp"
#include "table.hpp"
#include "text.hpp"

#include <fmt/format.h>

namespace gabra::cli {
namespace {

constexpr double kMebi = 1048576.0;

struct Sums {
  Flops forward, backward;
  std::int64_t parameters = 0;
  std::int64_t saved_bytes = 0;
};

/// Bytes that a layer keeps for its backward in float32, its inputs and output left to the layers that make them.
std::int64_t saved_bytes(const Network& network, LayerId id) {
  const LayerCosts& costs = network.layer(id).costs;
  bool is_saved = costs.saves_output;
  for (const Layer& reader : network.layers())
    for (const LayerId input : reader.inputs) is_saved = is_saved || (input == id && reader.costs.saves_input);
  return 4 * (costs.saved_internal_elements + (is_saved ? costs.output_elements : 0)) + costs.saved_internal_bytes;
}

std::string mebibytes(std::int64_t bytes) { return fmt::format("{:.3f}", static_cast<double>(bytes) / kMebi); }
std::string giga(Flops flops) { return fmt::format("{:.4f}", flops.value() / 1e9); }

std::string input_names(const Network& network, const Layer& layer) {
  std::string text;
  for (const LayerId input : layer.inputs)
    text += fmt::format("{}{}", text.empty() ? "" : ", ", network.layer(input).name);
  return text;
}

std::string layer_table(const Network& network) {
  Table table({{"unit", Table::Align::Right},
               {"layer"},
               {"kind"},
               {"output"},
               {"parameters", Table::Align::Right},
               {"forward GFLOP", Table::Align::Right},
               {"backward GFLOP", Table::Align::Right},
               {"saved MiB", Table::Align::Right},
               {"inputs"}});
  Sums sums;
  std::size_t unit = 0;
  std::size_t shown_unit = network.unit_count();
  for (std::size_t i = 0; i < network.layers().size(); ++i) {
    const LayerId id(i);
    const Layer& layer = network.layer(id);
    while (unit < network.unit_count() && network.units()[unit].end <= id) ++unit;
    const bool is_in_unit = unit < network.unit_count() && network.units()[unit].first <= id;
    const bool is_first = is_in_unit && unit != shown_unit;
    if (is_first) shown_unit = unit;
    const std::int64_t saved = saved_bytes(network, id);
    table.add_row({is_first ? std::to_string(unit) : "", layer.name, std::string(kind_name(layer.attributes)),
                   to_text(layer.output), with_commas(layer.costs.parameters), giga(layer.costs.forward_flops),
                   giga(layer.costs.backward_flops), mebibytes(saved), input_names(network, layer)});
    sums.forward += layer.costs.forward_flops;
    sums.backward += layer.costs.backward_flops;
    sums.parameters += layer.costs.parameters;
    sums.saved_bytes += saved;
  }
  table.add_rule();
  table.add_row({"", "total", "", "", with_commas(sums.parameters), giga(sums.forward), giga(sums.backward),
                 mebibytes(sums.saved_bytes)});
  return table.to_text();
}

std::string unit_table(const Network& network) {
  Table table({{"unit", Table::Align::Right},
               {"name"},
               {"layers", Table::Align::Right},
               {"output"},
               {"parameters", Table::Align::Right},
               {"forward GFLOP", Table::Align::Right},
               {"backward GFLOP", Table::Align::Right},
               {"leaves for units"}});
  for (std::size_t i = 0; i < network.unit_count(); ++i) {
    const Unit& unit = network.units()[i];
    const UnitCosts& costs = network.unit_costs()[i];
    std::string consumers;
    for (const UnitTensor& tensor : network.unit_tensors())
      if (tensor.producer == UnitId(i))
        for (const UnitId consumer : tensor.consumers)
          consumers += fmt::format("{}{}", consumers.empty() ? "" : ", ", consumer.value());
    table.add_row({std::to_string(i), unit.name, std::to_string(unit.end.value() - unit.first.value()),
                   to_text(network.layer(LayerId(unit.end.value() - 1)).output), with_commas(costs.parameters),
                   giga(costs.forward_flops), giga(costs.backward_flops), consumers});
  }
  return table.to_text();
}

}  // namespace

void add_describe_network_flags(FlagSet& flags) {
  flags.add_positional("NETWORK", "a zoo name with options (3d-resattnet-34:width=16), or a file");
  flags.add_switch("--units", "only the units, which are what a plan may cut between");
  flags.add_switch("--json", "write the gabra/network/1 file on stdout");
}

int run_describe_network(const FlagSet& flags) {
  FaultList faults;
  FlagReader reader(flags, faults);
  const auto name = reader.required("NETWORK", "a zoo name or a file");
  faults.throw_if_any();
  const Network network = load_network(*name);
  if (reader.is_on("--json")) {
    print_to_stdout(to_json_text(network));
    return kDone;
  }
  std::string text = fmt::format("network {}: {} layers in {} units, {} parameters\n", network.name(),
                                 network.layers().size(), network.unit_count(), with_commas(network.parameters()));
  text += "All per sample; saved: kept from forward to backward in float32.\n\n";
  if (!reader.is_on("--units")) text += layer_table(network) + '\n';
  print_to_stdout(text + unit_table(network));
  return kDone;
}

}  // namespace gabra::cli
