// SPDX-License-Identifier: MIT
#include "packing.hpp"

#include <algorithm>
#include <limits>

namespace gabra::detail {
namespace {

constexpr std::size_t kMostTours = 4096;
constexpr std::size_t kMostSteps = 200'000;

/// All tours along existing lanes, up to the limits, in lexicographic order.
class TourList {
 public:
  TourList(const LaneMatrix& lanes, bool is_ring) : lanes_(lanes), is_ring_(is_ring), is_used_(lanes.count, false) {
    for (std::size_t first = 0; first < (is_ring ? 1 : lanes.count); ++first) visit(first);
  }
  [[nodiscard]] std::vector<Tour> take() { return std::move(tours_); }

 private:
  void visit(std::size_t vertex) {
    if (tours_.size() >= kMostTours || ++steps_ > kMostSteps) return;
    is_used_[vertex] = true;
    path_.push_back(vertex);
    if (path_.size() == lanes_.count) {
      if (!is_ring_ || lanes_.at(vertex, path_.front()) > 0) tours_.push_back(path_);
    } else {
      for (std::size_t next = 0; next < lanes_.count; ++next)
        if (!is_used_[next] && lanes_.at(vertex, next) > 0) visit(next);
    }
    path_.pop_back();
    is_used_[vertex] = false;
  }

  const LaneMatrix& lanes_;
  bool is_ring_;
  std::vector<bool> is_used_;
  Tour path_;
  std::vector<Tour> tours_;
  std::size_t steps_ = 0;
};

/// Chooses as many items as possible (the same one several times where it fits), each taking one of some resources.
class Packing {
 public:
  Packing(std::vector<std::vector<std::size_t>> items, std::vector<int> capacities, std::size_t bound)
      : items_(std::move(items)), left_(std::move(capacities)), bound_(bound) {
    search(0);
  }
  [[nodiscard]] const std::vector<std::size_t>& best() const { return best_; }

 private:
  void search(std::size_t first) {
    if (chosen_.size() > best_.size()) best_ = chosen_;
    for (std::size_t i = first; i < items_.size(); ++i) {
      if (best_.size() >= bound_ || steps_ > kMostSteps) return;
      if (chosen_.size() + room() <= best_.size()) return;
      ++steps_;
      if (!fits(items_[i])) continue;
      for (const std::size_t resource : items_[i]) --left_[resource];
      chosen_.push_back(i);
      search(i);
      chosen_.pop_back();
      for (const std::size_t resource : items_[i]) ++left_[resource];
    }
  }
  [[nodiscard]] bool fits(const std::vector<std::size_t>& item) const {
    return std::all_of(item.begin(), item.end(), [this](std::size_t resource) { return left_[resource] > 0; });
  }
  /// Every item takes one resource at each place of its list; what is left overall bounds how many more fit.
  [[nodiscard]] std::size_t room() const {
    if (items_.empty() || items_.front().empty()) return 0;
    int total = 0;
    for (const int left : left_) total += left;
    return static_cast<std::size_t>(total) / items_.front().size();
  }

  std::vector<std::vector<std::size_t>> items_;
  std::vector<int> left_;
  std::size_t bound_;
  std::vector<std::size_t> chosen_;
  std::vector<std::size_t> best_;
  std::size_t steps_ = 0;
};

std::vector<Tour> chosen_tours(const std::vector<Tour>& tours, const Packing& packing) {
  std::vector<Tour> result;
  for (const std::size_t index : packing.best()) result.push_back(tours[index]);
  return result;
}

std::size_t gate_count(const Gates& gates) {
  std::size_t most = 0;
  for (const std::size_t gate : gates.entry) most = std::max(most, gate + 1);
  for (const std::size_t gate : gates.exit) most = std::max(most, gate + 1);
  return most;
}

std::size_t degree_bound(const LaneMatrix& lanes) {
  int bound = std::numeric_limits<int>::max();
  for (std::size_t i = 0; i < lanes.count; ++i) {
    int out = 0;
    int in = 0;
    for (std::size_t j = 0; j < lanes.count; ++j) {
      out += lanes.at(i, j);
      in += lanes.at(j, i);
    }
    bound = std::min({bound, out, in});
  }
  return static_cast<std::size_t>(bound);
}

/// The tree of widest pairs that reaches all vertices, or an empty one.
Tree widest_tree(const LaneMatrix& lanes) {
  Tree tree;
  std::vector<bool> is_in(lanes.count, false);
  is_in[0] = true;
  while (tree.size() + 1 < lanes.count) {
    int widest = 0;
    std::pair<std::size_t, std::size_t> edge;
    for (std::size_t from = 0; from < lanes.count; ++from)
      for (std::size_t to = 0; to < lanes.count && is_in[from]; ++to) {
        const int both = std::min(lanes.at(from, to), lanes.at(to, from));
        if (is_in[to] || both <= widest) continue;
        widest = both;
        edge = {from, to};
      }
    if (widest == 0) return {};
    is_in[edge.second] = true;
    tree.push_back(edge);
  }
  return tree;
}

/// The same edges seen from another root, parents first.
Tree rooted_at(const Tree& tree, std::size_t root, std::size_t vertices) {
  std::vector<std::vector<std::size_t>> neighbours(vertices);
  for (const auto& [a, b] : tree) {
    neighbours[a].push_back(b);
    neighbours[b].push_back(a);
  }
  Tree result;
  std::vector<bool> is_seen(vertices, false);
  std::vector<std::size_t> queue{root};
  is_seen[root] = true;
  for (std::size_t i = 0; i < queue.size(); ++i)
    for (const std::size_t next : neighbours[queue[i]]) {
      if (is_seen[next]) continue;
      is_seen[next] = true;
      queue.push_back(next);
      result.emplace_back(queue[i], next);
    }
  return result;
}

}  // namespace

std::vector<Tour> pack_rings(const LaneMatrix& lanes) {
  const std::vector<Tour> tours = TourList(lanes, true).take();
  std::vector<std::vector<std::size_t>> items;
  for (const Tour& tour : tours) {
    items.emplace_back();
    for (std::size_t i = 0; i < tour.size(); ++i)
      items.back().push_back(tour[i] * lanes.count + tour[(i + 1) % tour.size()]);
  }
  return chosen_tours(tours, Packing(std::move(items), lanes.lanes, degree_bound(lanes)));
}

std::vector<Tour> pack_chains(const LaneMatrix& lanes, const Gates& gates) {
  const std::vector<Tour> tours = TourList(lanes, false).take();
  const std::size_t gate_total = gate_count(gates);
  std::vector<int> capacities = lanes.lanes;
  capacities.resize(capacities.size() + 2 * gate_total, 1);
  std::vector<std::vector<std::size_t>> items;
  for (const Tour& tour : tours) {
    std::vector<std::size_t> item;
    for (std::size_t i = 0; i + 1 < tour.size(); ++i) item.push_back(tour[i] * lanes.count + tour[i + 1]);
    item.push_back(lanes.lanes.size() + gates.entry[tour.front()]);
    item.push_back(lanes.lanes.size() + gate_total + gates.exit[tour.back()]);
    items.push_back(std::move(item));
  }
  return chosen_tours(tours, Packing(std::move(items), std::move(capacities), gate_total));
}

std::vector<Tour> pack_through_gates(const std::vector<Tour>& candidates, const Gates& gates) {
  const std::size_t gate_total = gate_count(gates);
  std::vector<std::vector<std::size_t>> items;
  for (const Tour& tour : candidates)
    items.push_back({gates.entry[tour.front()], gate_total + gates.exit[tour.back()]});
  return chosen_tours(candidates, Packing(std::move(items), std::vector<int>(2 * gate_total, 1), gate_total));
}

std::vector<Tree> pack_trees(const LaneMatrix& lanes) {
  LaneMatrix left = lanes;
  std::vector<Tree> trees;
  for (Tree tree = widest_tree(left); !tree.empty(); tree = widest_tree(left)) {
    for (const auto& [a, b] : tree) {
      --left.at(a, b);
      --left.at(b, a);
    }
    Tree lowest = tree;
    for (std::size_t root = 0; root < lanes.count; ++root) {
      Tree other = rooted_at(tree, root, lanes.count);
      if (height(other, lanes.count) < height(lowest, lanes.count)) lowest = std::move(other);
    }
    trees.push_back(std::move(lowest));
  }
  return trees;
}

std::size_t height(const Tree& tree, std::size_t vertices) {
  std::vector<std::size_t> depth(vertices, 0);
  std::size_t highest = 0;
  for (const auto& [parent, child] : tree) {
    depth[child] = depth[parent] + 1;
    highest = std::max(highest, depth[child]);
  }
  return highest;
}

bool is_connected(const LaneMatrix& lanes) { return lanes.count == 1 || !widest_tree(lanes).empty(); }

}  // namespace gabra::detail
