// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/cluster/cluster.hpp"
#include "gabra/plan/program.hpp"
#include "gabra/plan/report.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace gabra::sim {

/// Adds up, while a step runs, where the time of each device goes and what each link carries. All dates are seconds
/// since the step began and never decrease.
class Meter {
 public:
  explicit Meter(const Cluster& cluster);

  void reset();
  void compute_begins(std::size_t device, double now) { advance(device, now).computing += 1; }
  void compute_ends(std::size_t device, double now) { advance(device, now).computing -= 1; }
  void communication_begins(std::size_t device, double now) { advance(device, now).communicating += 1; }
  void communication_ends(std::size_t device, double now) { advance(device, now).communicating -= 1; }
  void flow_begins(std::span<const LinkId> links, double bytes, double now);
  void flow_ends(std::span<const LinkId> links, double now);

  [[nodiscard]] StepReport report(const Program& program, double step);

 private:
  struct DeviceTime {
    double last = 0.0;  // date up to which the sums below are complete
    double compute = 0.0;
    double exposed = 0.0;
    int computing = 0;
    int communicating = 0;
  };
  struct LinkUse {
    double since = 0.0;
    double busy = 0.0;
    double bytes = 0.0;
    int flows = 0;
    bool is_used = false;
  };

  DeviceTime& advance(std::size_t device, double now) {
    DeviceTime& time = devices_[device];
    if (time.computing > 0) {
      time.compute += now - time.last;
    } else if (time.communicating > 0) {
      time.exposed += now - time.last;
    }
    time.last = now;
    return time;
  }

  const Cluster& cluster_;
  std::vector<DeviceTime> devices_;
  std::vector<LinkUse> links_;
  std::vector<LinkId> used_links_;
};

}  // namespace gabra::sim
