// SPDX-License-Identifier: MIT
#include "gabra/sim/platform.hpp"

#include "platform_fields.hpp"

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace gabra::sim {
namespace {

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      default:
        safe += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return safe;
}

std::string property(std::string_view indent, std::string_view name, std::string_view value) {
  return fmt::format("{}<prop id=\"{}\" value=\"{}\"/>\n", indent, name, escaped(value));
}

// SimGrid's defaults are made for TCP over Ethernet.
constexpr std::string_view kHead =
    "<?xml version='1.0'?>\n"
    "<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"
    "<platform version=\"4.1\">\n"
    "  <config>\n"
    "    <prop id=\"network/model\" value=\"CM02\"/>\n"
    "    <prop id=\"network/latency-factor\" value=\"1\"/>\n"
    "    <prop id=\"network/bandwidth-factor\" value=\"1\"/>\n"
    "    <prop id=\"network/weight-S\" value=\"0\"/>\n"
    "    <prop id=\"network/crosstraffic\" value=\"0\"/>\n"
    "    <prop id=\"network/TCP-gamma\" value=\"0\"/>\n"
    "  </config>\n"
    "  <zone id=\"cluster\" routing=\"Full\">\n";

std::string zone_properties(const Cluster& cluster) {
  const CollectiveParameters& collective = cluster.description().collective;
  std::string text = property("    ", kNameProperty, cluster.name());
  for (const auto& field : kCollectiveFields) {
    text += property("    ", field.property, fmt::format("{}", field.get(collective)));
  }
  text += property("    ", kCollectiveSourceProperty, collective.source);
  return text;
}

std::string host(const Device& device, const DeviceKind& kind) {
  std::string text =
      fmt::format("    <host id=\"{}\" speed=\"{}f\">\n", escaped(device.name), kind.peak_float32.value());
  constexpr std::string_view kIndent = "      ";
  text += property(kIndent, kKindProperty, kind.name);
  text += property(kIndent, kNodeProperty, std::to_string(device.node));
  for (const auto& field : kKindFields) text += property(kIndent, field.property, fmt::format("{}", field.get(kind)));
  for (std::size_t i = 0; i < kComputeClassCount; ++i) {
    const Efficiency& reached = kind.efficiency[i];
    text += property(kIndent, fmt::format("{}{}", kEfficiencyProperty, kComputeClassNames[i]),
                     fmt::format("{} {} {}", reached.flops, reached.bandwidth, reached.half_rows));
  }
  text += property(kIndent, kCalibratedProperty, kind.is_calibrated ? "1" : "0");
  text += property(kIndent, kSourceProperty, kind.source);
  return text + "    </host>\n";
}

std::string link(const Link& link) {
  return fmt::format("    <link id=\"{}\" bandwidth=\"{}Bps\" latency=\"{}s\" sharing_policy=\"{}\">\n",
                     escaped(link.name), link.bandwidth.value(), link.latency.value(),
                     link.is_fat_pipe ? "FATPIPE" : "SHARED") +
         property("      ", kLanesProperty, std::to_string(link.lanes)) +
         property("      ", kNvlinkProperty, link.is_nvlink ? "1" : "0") + "    </link>\n";
}

std::string routes(const Cluster& cluster) {
  std::string text;
  for (std::size_t from = 0; from < cluster.device_count(); ++from) {
    for (std::size_t to = 0; to < cluster.device_count(); ++to) {
      if (from == to) continue;
      text += fmt::format("    <route src=\"{}\" dst=\"{}\" symmetrical=\"NO\">",
                          escaped(cluster.device(DeviceId(from)).name), escaped(cluster.device(DeviceId(to)).name));
      for (const LinkId id : cluster.route(DeviceId(from), DeviceId(to)).links) {
        text += fmt::format("<link_ctn id=\"{}\"/>", escaped(cluster.link(id).name));
      }
      text += "</route>\n";
    }
  }
  return text;
}

}  // namespace

std::string to_platform_xml(const Cluster& cluster) {
  std::string text(kHead);
  text += zone_properties(cluster);
  for (const Device& device : cluster.description().devices) text += host(device, cluster.kind(device.kind));
  for (const Link& each : cluster.links()) text += link(each);
  text += routes(cluster);
  return text + "  </zone>\n</platform>\n";
}

}  // namespace gabra::sim
