// SPDX-License-Identifier: MIT
#include "engine.hpp"

#include "gabra/core/check.hpp"
#include "gabra/core/error.hpp"
#include "simgrid_process.hpp"

#include <simgrid/kernel/Timer.hpp>
#include <simgrid/kernel/routing/NetZoneImpl.hpp>
#include <simgrid/s4u.hpp>

#include <simgrid/version.h>  // 3.32's needs macros of the others

#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

namespace gabra::sim {
namespace {

namespace s4u = simgrid::s4u;
using simgrid::kernel::timer::Timer;

// SimGrid takes whole bytes: sizes and bandwidths are both scaled, so that a flow keeps 1/4096 byte.
constexpr double kBytesScale = 4096.0;
constexpr double kMostBytes = 4.0e15;  // scaled, it still fits 64 bits

// The route of the flow that is being started. A flow's path is decided by the cluster, not by SimGrid, so the zone
// answers with it whatever the hosts are, and no table of routes is needed however large the cluster is.
using LinkPointers = std::vector<simgrid::kernel::resource::StandardLinkImpl*>;

class RouteZone : public simgrid::kernel::routing::NetZoneImpl {
 public:
  explicit RouteZone(const std::string& name) : NetZoneImpl(name) {}

  const LinkPointers* route = nullptr;

 private:
  void get_local_route(const simgrid::kernel::routing::NetPoint* /*source*/,
                       const simgrid::kernel::routing::NetPoint* /*target*/, simgrid::kernel::routing::Route* into,
                       double* /*latency*/) override {
    into->link_list_.insert(into->link_list_.end(), route->begin(), route->end());
  }
};

/// SimGrid carries a pointer for us, which is never followed.
void* to_data(std::int64_t token) {
  return reinterpret_cast<void*>(static_cast<std::intptr_t>(token));  // NOLINT(performance-no-int-to-ptr)
}

#if SIMGRID_VERSION >= 40000
s4u::Host* add_host(s4u::NetZone& zone, const std::string& name, const std::vector<double>& speeds) {
  return zone.add_host(name, speeds);
}
s4u::Link* add_link(s4u::NetZone& zone, const std::string& name, double bandwidth) {
  return zone.add_link(name, bandwidth);
}
#else
s4u::Host* add_host(s4u::NetZone& zone, const std::string& name, const std::vector<double>& speeds) {
  return zone.create_host(name, speeds);
}
s4u::Link* add_link(s4u::NetZone& zone, const std::string& name, double bandwidth) {
  return zone.create_link(name, bandwidth);
}
#endif

// SimGrid has one engine per process, and can neither shut it down nor make another.
class Engine {
 public:
  static Engine& instance() {
    static Engine& engine = *new Engine();  // never destroyed: SimGrid's own statics may be gone by then
    return engine;
  }

  Platform* find(const PlatformShape& shape) {
    const auto found = platforms_.find(shape);
    return found == platforms_.end() ? nullptr : found->second;
  }
  void keep(const PlatformShape& shape, Platform* platform) { platforms_.emplace(shape, platform); }
  [[nodiscard]] std::size_t platform_count() const { return platforms_.size(); }

  RouteZone& new_zone();
  void run(Listener& listener);
  [[nodiscard]] double now() const { return s4u::Engine::get_clock() - origin_; }
  [[nodiscard]] double date(double delay) const { return s4u::Engine::get_clock() + delay; }

  /// Activities that end outside a run are not ours: the program may use SimGrid itself.
  void on_done(std::int64_t token) {
    if (listener_ != nullptr) listener_->on_done(token);
  }
  /// SimGrid crashes when a running activity loses its last owner.
  void keep_alive(s4u::ActivityPtr activity) { alive_.push_back(std::move(activity)); }

  [[nodiscard]] ClockRule rule() const { return rule_; }
  void use(ClockRule rule);

 private:
  Engine();
  void run_aligned();

  s4u::Engine& engine_;
  s4u::NetZone& root_;
  double* clock_ = nullptr;  // SimGrid's own
  ClockRule rule_ = ClockRule::Aligned;
  double origin_ = 0.0;  // date at which the current run began
  Listener* listener_ = nullptr;
  std::vector<s4u::ActivityPtr> alive_;
  std::map<PlatformShape, Platform*> platforms_;
};

s4u::NetZone& make_root(s4u::Engine& engine) {
#if SIMGRID_VERSION >= 40000
  return *engine.get_netzone_root();
#else
  static_cast<void>(engine);
  return *s4u::create_empty_zone("gabra");
#endif
}

Engine::Engine() : engine_(start_simgrid()), root_(make_root(engine_)) {
  const auto forward = [](const s4u::Activity& activity) {
    Engine::instance().on_done(static_cast<std::int64_t>(reinterpret_cast<std::intptr_t>(activity.get_data<void>())));
  };
#if SIMGRID_VERSION >= 40000
  s4u::Exec::on_completion_cb(forward);
  s4u::Comm::on_completion_cb(forward);
#else
  s4u::Activity::on_completion_cb(forward);
#endif
  // simgrid::kernel::EngineImpl::now_: private, in no public header, but exported.
  clock_ = static_cast<double*>(dlsym(RTLD_DEFAULT, "_ZN7simgrid6kernel10EngineImpl4now_E"));
  if (clock_ != nullptr) {
    *clock_ = 1.0;
    if (s4u::Engine::get_clock() == 1.0) rule_ = ClockRule::Reset;
    *clock_ = 0.0;
  }
}

void Engine::use(ClockRule rule) {
  GABRA_CHECK(rule != ClockRule::Reset || clock_ != nullptr, "this SimGrid's clock cannot be set");
  rule_ = rule;
}

// Zones cannot be added under the root once a simulation ran, so every platform is a zone without a parent that shares
// the root's models; a flow never leaves its zone.
RouteZone& Engine::new_zone() {
  auto& zone = *new RouteZone("gabra_" + std::to_string(platforms_.size()));  // SimGrid's for ever
  const auto& root = *root_.get_impl();
  zone.set_network_model(root.get_network_model());
  zone.set_cpu_pm_model(root.get_cpu_pm_model());
  zone.set_cpu_vm_model(root.get_cpu_vm_model());
  zone.set_disk_model(root.get_disk_model());
  zone.set_host_model(root.get_host_model());
  return zone;
}

void Engine::run(Listener& listener) {
  GABRA_CHECK(listener_ == nullptr, "a simulation was started inside another");
  listener_ = &listener;
  if (rule_ == ClockRule::Reset) {
    *clock_ = 0.0;
    origin_ = 0.0;
    listener.on_begin();
    engine_.run();
  } else {
    run_aligned();
  }
  alive_.clear();
  listener_ = nullptr;
}

// The clock only grows, and a run's rounding errors depend on where it stands. Between 65,536 s and 131,072 s all dates
// lie on one grid of 2^-36 s, so runs that start on multiples of 1/16 s are exact shifts of each other.
void Engine::run_aligned() {
  constexpr double kFirst = 65536.0;
  constexpr double kLast = 131072.0;
  origin_ = std::max(kFirst, (std::floor(s4u::Engine::get_clock() * 16.0) + 1.0) / 16.0);
  Timer::set(origin_, [this] { listener_->on_begin(); });
  engine_.run();
  if (s4u::Engine::get_clock() >= kLast) {
    alive_.clear();
    listener_ = nullptr;
    throw Error("SimGrid's clock is used up and this version's cannot be set back: start a new process");
  }
}

}  // namespace

struct Platform::Resources {
  explicit Resources(Engine& the_engine) : engine(the_engine), zone(the_engine.new_zone()) {}

  Engine& engine;
  RouteZone& zone;
  std::vector<s4u::Host*> hosts;
  std::vector<bool> can_slow;
  std::vector<s4u::Link*> links;
  std::vector<LinkPointers> routes;
  std::map<std::vector<std::size_t>, std::size_t> route_handles;
};

Platform& Platform::of(const PlatformShape& shape) {
  Engine& engine = Engine::instance();
  if (Platform* known = engine.find(shape)) return *known;
  auto* made = new Platform(shape);  // kept until the process ends, like the SimGrid resources behind it
  engine.keep(shape, made);
  return *made;
}

Platform::Platform(const PlatformShape& shape) : resources_(std::make_unique<Resources>(Engine::instance())) {
  s4u::NetZone& zone = *resources_->zone.get_iface();
  const std::string prefix = zone.get_name() + "_";
  for (const std::vector<double>& slowdowns : shape.slowdowns) {
    const std::string name = prefix + "device_" + std::to_string(resources_->hosts.size());
    std::vector<double> speeds;
    for (const double slowdown : slowdowns) speeds.push_back(1.0 / slowdown);
    resources_->can_slow.push_back(speeds.size() > 1);
    resources_->hosts.push_back(add_host(zone, name, speeds)->seal());
  }
  // Flows need two different hosts; which ones does not matter, the route says where they go.
  resources_->hosts.push_back(add_host(zone, prefix + "from", {1.0})->seal());
  resources_->hosts.push_back(add_host(zone, prefix + "to", {1.0})->seal());
  for (const PlatformShape::Cable& cable : shape.cables) {
    const std::string name = prefix + "link_" + std::to_string(resources_->links.size());
    s4u::Link* link = add_link(zone, name, cable.bandwidth * kBytesScale);
    link->set_latency(0.0);
    link->set_sharing_policy(cable.is_fat_pipe ? s4u::Link::SharingPolicy::FATPIPE : s4u::Link::SharingPolicy::SHARED);
    resources_->links.push_back(link->seal());
  }
}

Platform::~Platform() = default;

std::size_t Platform::add_route(std::span<const std::size_t> cables) {
  const auto [entry, is_new] =
      resources_->route_handles.try_emplace({cables.begin(), cables.end()}, resources_->routes.size());
  if (is_new) {
    LinkPointers& route = resources_->routes.emplace_back();
    for (const std::size_t cable : cables) route.push_back(resources_->links[cable]->get_impl());
  }
  return entry->second;
}

void Platform::run(Listener& listener) { resources_->engine.run(listener); }

double Platform::now() const { return resources_->engine.now(); }

void Platform::start_timer(double seconds, std::int64_t token) {
  Engine& engine = resources_->engine;
  Timer::set(engine.date(seconds), [token] { Engine::instance().on_done(token); });
}

void Platform::start_compute(std::size_t device, double seconds, std::int64_t token) {
  // Nothing can change the length of such a span, so a timer does what an Exec would, four times as fast.
  if (!resources_->can_slow[device]) return start_timer(seconds, token);
  s4u::ExecPtr exec = s4u::Exec::init();
  exec->set_data(to_data(token));
  exec->set_flops_amount(seconds);
  exec->set_host(resources_->hosts[device]);
  resources_->engine.keep_alive(exec);
  exec->start();
}

void Platform::start_flow(std::size_t route, double bytes, std::int64_t token) {
  GABRA_CHECK(bytes <= kMostBytes, "a flow of more bytes than SimGrid can count");
  resources_->zone.route = &resources_->routes[route];
  const std::size_t hosts = resources_->hosts.size();
  s4u::CommPtr flow = s4u::Comm::sendto_init(resources_->hosts[hosts - 2], resources_->hosts[hosts - 1]);
  flow->set_data(to_data(token));
  flow->set_payload_size(std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::llround(bytes * kBytesScale))));
  resources_->engine.keep_alive(flow);
  flow->start();
}

void Platform::set_level(std::size_t device, std::size_t level) {
  if (resources_->can_slow[device]) resources_->hosts[device]->set_pstate(level);
}

ClockRule clock_rule() { return Engine::instance().rule(); }
void use_clock_rule(ClockRule rule) { Engine::instance().use(rule); }

}  // namespace gabra::sim
