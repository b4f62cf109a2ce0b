// SPDX-License-Identifier: MIT
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace gabra::sim {

// The only door to SimGrid for simulations: engine.cpp includes its headers, this one does not. Bare numbers here are
// seconds, bytes and bytes per second; the rooms outside see typed quantities only.

/// What SimGrid is told of a cluster. Equal shapes share their SimGrid resources, which SimGrid never frees.
struct PlatformShape {
  struct Cable {
    double bandwidth = 1.0;  ///< bytes per second
    bool is_fat_pipe = false;
    auto operator<=>(const Cable&) const = default;
  };
  std::vector<std::vector<double>> slowdowns;  ///< by device and level: compute takes so many times as long; first 1
  std::vector<Cable> cables;                   ///< by link
  auto operator<=>(const PlatformShape&) const = default;
};

/// Told what happens during a run. Tokens are the caller's own and come back unchanged.
class Listener {
 public:
  virtual void on_begin() = 0;
  virtual void on_done(std::int64_t token) = 0;

 protected:
  ~Listener() = default;
};

/// How every run comes to start at the same date, so that its times do not depend on what ran before.
enum class ClockRule {
  Reset,    ///< SimGrid's clock is set back to 0
  Aligned,  ///< for a SimGrid whose clock cannot be set: see run_aligned() in engine.cpp
};

/// SimGrid's resources for one shape of cluster. Everything below is valid only from inside run(), except add_route().
class Platform {
 public:
  /// The platform for `shape`; made at the first call with it, kept until the process ends.
  static Platform& of(const PlatformShape& shape);

  Platform(const Platform&) = delete;
  Platform& operator=(const Platform&) = delete;
  ~Platform();

  /// A path over `cables`, as a handle for start_flow(); the same path gives the same handle.
  [[nodiscard]] std::size_t add_route(std::span<const std::size_t> cables);

  /// Calls listener.on_begin() at time 0, then advances time until nothing is left to happen.
  void run(Listener& listener);

  /// Seconds since the run began.
  [[nodiscard]] double now() const;

  /// on_done(token) after `seconds` > 0, whatever else happens.
  void start_timer(double seconds, std::int64_t token);
  /// on_done(token) when `device` has computed for `seconds` > 0 of undisturbed time. One at a time per device.
  void start_compute(std::size_t device, double seconds, std::int64_t token);
  /// on_done(token) when `bytes` > 0 went over the route, sharing each cable equally with other flows.
  void start_flow(std::size_t route, double bytes, std::int64_t token);
  /// Slows the device's compute by slowdowns[device][level].
  void set_level(std::size_t device, std::size_t level);

 private:
  struct Resources;
  explicit Platform(const PlatformShape& shape);

  std::unique_ptr<Resources> resources_;
};

/// The rule in force, Reset where SimGrid allows it. Tests may ask for the other.
[[nodiscard]] ClockRule clock_rule();
void use_clock_rule(ClockRule rule);

}  // namespace gabra::sim
