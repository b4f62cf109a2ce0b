// SPDX-License-Identifier: MIT
#pragma once

namespace simgrid::s4u {
class Engine;
}

namespace gabra::sim {

/// Makes SimGrid's engine, the only one of the process: silent, with a network model that adds nothing to the links'
/// own figures, and without its signal handlers. Call once.
[[nodiscard]] simgrid::s4u::Engine& start_simgrid();

}  // namespace gabra::sim
