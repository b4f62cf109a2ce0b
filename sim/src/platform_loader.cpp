// SPDX-License-Identifier: MIT
#include "platform_loader.hpp"

#include "gabra/core/error.hpp"
#include "simgrid_process.hpp"

#include <simgrid/s4u.hpp>

#include <dlfcn.h>

#include <algorithm>
#include <initializer_list>
#include <unordered_map>

namespace gabra::sim {
namespace {

namespace s4u = simgrid::s4u;

constexpr std::size_t kMostHosts = 256;

/// SimGrid refuses a second engine. Forgetting the first, which this process copied from its parent, is enough to load
/// a file; running a simulation afterwards is not to be tried.
void forget_engine() {
  for (const char* const symbol : {"_ZN7simgrid6kernel10EngineImpl9instance_E", "_ZN7simgrid3s4u6Engine9instance_E"}) {
    auto* const instance = static_cast<void**>(dlsym(RTLD_DEFAULT, symbol));
    if (instance == nullptr) throw Error("this SimGrid loads no platform after a simulation: read platforms first");
    *instance = nullptr;
  }
  // 2 stands for "made resources, takes no more <config>", 1 for "has its defaults".
  if (auto* const status = static_cast<int*>(dlsym(RTLD_DEFAULT, "_sg_cfg_init_status"))) *status = 1;
}

template <class Element>
Properties properties_of(const Element& element) {
  const auto* properties = element.get_properties();
  return properties == nullptr ? Properties() : Properties(properties->begin(), properties->end());
}

/// Hosts and links in the order of the file, which SimGrid does not keep.
struct Created {
  std::vector<s4u::Host*> hosts;
  std::vector<s4u::Link*> links;
};

Created load(const std::string& path) {
  static Created created;  // the callbacks can only be added, never removed
  created = {};
  if (s4u::Engine::has_instance()) forget_engine();
  s4u::Engine& engine = start_simgrid();
  const auto add = [](auto& list, auto* element) {  // some are announced twice
    if (std::find(list.begin(), list.end(), element) == list.end()) list.push_back(element);
  };
  s4u::Host::on_creation_cb([add](s4u::Host& host) { add(created.hosts, &host); });
  s4u::Link::on_creation_cb([add](s4u::Link& link) { add(created.links, &link); });
  engine.load_platform(path);
  if (created.hosts.empty()) throw_input_error(path, "no host", "a platform with at least one host");
  if (created.hosts.size() > kMostHosts) {
    throw_input_error(path, std::to_string(created.hosts.size()) + " hosts",
                      "at most " + std::to_string(kMostHosts) + " hosts");
  }
  engine.get_netzone_root()->seal();  // Engine::seal_platform() works once per process, and so perhaps not here
  return created;
}

PlatformFacts::Cable cable_of(const s4u::Link& link, const std::string& path) {
  using Policy = s4u::Link::SharingPolicy;
  const Policy policy = link.get_sharing_policy();
  if (policy != Policy::SHARED && policy != Policy::FATPIPE) {
    throw_input_error(path + ": link " + in_quotes(link.get_name()), "a wireless or non-linear link",
                      "links that are SHARED, FATPIPE or SPLITDUPLEX");
  }
  return {.name = link.get_name(),
          .bandwidth = link.get_bandwidth(),
          .latency = link.get_latency(),
          .is_fat_pipe = policy == Policy::FATPIPE,
          .properties = properties_of(link)};
}

void add_paths(PlatformFacts& facts, const std::vector<s4u::Host*>& hosts, const std::string& path) {
  std::unordered_map<const s4u::Link*, std::size_t> numbers;  // looked up only
  std::vector<s4u::Link*> links;
  for (const s4u::Host* from : hosts) {
    for (const s4u::Host* to : hosts) {
      PlatformFacts::Path& found = facts.paths.emplace_back();
      if (from == to) continue;
      links.clear();
      from->route_to(to, links, &found.latency);
      for (const s4u::Link* link : links) {
        const auto [entry, is_new] = numbers.try_emplace(link, facts.cables.size());
        if (is_new) facts.cables.push_back(cable_of(*link, path));
        found.cables.push_back(entry->second);
      }
    }
  }
}

/// Puts the cables into the order in which the file declares them.
void sort_cables(PlatformFacts& facts, const std::vector<s4u::Link*>& declared) {
  std::unordered_map<std::string, std::size_t> positions;
  for (const s4u::Link* link : declared) positions.try_emplace(link->get_name(), positions.size());
  std::vector<std::size_t> order(facts.cables.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return positions[facts.cables[a].name] < positions[facts.cables[b].name];
  });
  std::vector<std::size_t> numbers(order.size());
  std::vector<PlatformFacts::Cable> sorted;
  for (const std::size_t old : order) {
    numbers[old] = sorted.size();
    sorted.push_back(std::move(facts.cables[old]));
  }
  facts.cables = std::move(sorted);
  for (PlatformFacts::Path& path : facts.paths) {
    for (std::size_t& cable : path.cables) cable = numbers[cable];
  }
}

}  // namespace

PlatformFacts load_platform_file(const std::string& path) {
  const Created created = load(path);
  PlatformFacts facts;
  facts.properties = properties_of(*s4u::Engine::get_instance()->get_netzone_root());
  for (const s4u::Host* host : created.hosts) {
    facts.hosts.push_back({.name = std::string(host->get_name().c_str()),
                           .speed = host->get_speed() * host->get_core_count(),
                           .properties = properties_of(*host)});
  }
  add_paths(facts, created.hosts, path);
  sort_cables(facts, created.links);
  return facts;
}

}  // namespace gabra::sim
