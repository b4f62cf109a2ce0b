// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace gabra::detail {

/// Lanes from each of a few vertices to each other one (row: from).
struct LaneMatrix {
  explicit LaneMatrix(std::size_t size) : count(size), lanes(size * size, 0) {}
  [[nodiscard]] int& at(std::size_t from, std::size_t to) { return lanes[from * count + to]; }
  [[nodiscard]] int at(std::size_t from, std::size_t to) const { return lanes[from * count + to]; }

  std::size_t count;
  std::vector<int> lanes;
};

/// A way through every vertex once. A ring goes back from the last to the first, which is vertex 0.
using Tour = std::vector<std::size_t>;
/// (parent, child) of every vertex but the root, parents first.
using Tree = std::vector<std::pair<std::size_t, std::size_t>>;

/// As many directed rings as fit on the lanes at once. Depth first over all rings in lexicographic order; the first
/// largest set wins. The search is exact for meshes as large as a DGX-1; a limit on its steps keeps larger ones quick.
[[nodiscard]] std::vector<Tour> pack_rings(const LaneMatrix& lanes);

/// Gates by which a tour may come in at its first vertex and go out at its last; each passes one tour.
struct Gates {
  std::vector<std::size_t> entry;  ///< by vertex
  std::vector<std::size_t> exit;
};

/// As many open tours as fit on the lanes and through the gates at once, found like rings.
[[nodiscard]] std::vector<Tour> pack_chains(const LaneMatrix& lanes, const Gates& gates);

/// Of `candidates`, as many as fit through the gates at once, whatever lies between.
[[nodiscard]] std::vector<Tour> pack_through_gates(const std::vector<Tour>& candidates, const Gates& gates);

/// Spanning trees on disjoint lanes (a lane in both directions), each grown over the pairs with the most lanes left,
/// rooted where it is lowest. Greedy: on small meshes as many as there can be.
[[nodiscard]] std::vector<Tree> pack_trees(const LaneMatrix& lanes);

/// Longest way from a tree's root to a leaf, in edges.
[[nodiscard]] std::size_t height(const Tree& tree, std::size_t vertices);

/// Whether lanes (in both directions) join all vertices.
[[nodiscard]] bool is_connected(const LaneMatrix& lanes);

}  // namespace gabra::detail
