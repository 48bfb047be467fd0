#include "text/models/byte_trie.h"

#include <algorithm>

namespace lockstep::text {

ByteTrie::ByteTrie(Strings strings) {
  std::stable_sort(strings.begin(), strings.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  build(strings);
  for (std::uint32_t i = 0; i < nodes_[0].edges; ++i) {
    const Edge& edge = edges_[nodes_[0].first_edge + i];
    first_[edge.byte] = edge.node;
  }
}

// Builds the nodes depth first, with an explicit stack, because strings may be longer than the call stack is deep.
void ByteTrie::build(const Strings& sorted) {
  struct Task {
    std::size_t edge;               // the edge that leads to the node
    std::size_t begin, end, depth;  // strings [begin, end) share their first `depth` bytes
  };
  constexpr std::size_t kNoEdge = SIZE_MAX;  // marks the root
  std::vector<Task> tasks{{kNoEdge, 0, sorted.size(), 0}};
  std::vector<Task> children;
  while (!tasks.empty()) {
    auto [edge, begin, end, depth] = tasks.back();
    tasks.pop_back();
    if (edge != kNoEdge) edges_[edge].node = static_cast<std::uint32_t>(nodes_.size());
    Node& node = nodes_.emplace_back();
    while (begin < end && sorted[begin].first.size() == depth) node.value = sorted[begin++].second;
    node.first_edge = static_cast<std::uint32_t>(edges_.size());
    children.clear();
    for (std::size_t i = begin; i < end; ++i) {
      const auto byte = static_cast<unsigned char>(sorted[i].first[depth]);
      if (children.empty() || edges_.back().byte != byte) {
        children.push_back({edges_.size(), i, i, depth + 1});
        edges_.push_back({byte, 0});
      }
      children.back().end = i + 1;
    }
    node.edges = static_cast<std::uint32_t>(children.size());
    tasks.insert(tasks.end(), children.rbegin(), children.rend());
  }
}

}  // namespace lockstep::text
