#include "byte_trie.h"

#include <algorithm>

namespace lockstep {

ByteTrie::ByteTrie(Strings strings) {
  std::stable_sort(strings.begin(), strings.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  build(strings, 0, strings.size(), 0);
  for (std::uint32_t i = 0; i < nodes_[0].edges; ++i) {
    const Edge& edge = edges_[nodes_[0].first_edge + i];
    first_[edge.byte] = edge.node;
  }
}

// The node of the strings [begin, end) of `sorted`, which share their first `depth` bytes.
std::uint32_t ByteTrie::build(const Strings& sorted, std::size_t begin, std::size_t end, std::size_t depth) {
  const auto node = static_cast<std::uint32_t>(nodes_.size());
  nodes_.emplace_back();
  while (begin < end && sorted[begin].first.size() == depth) nodes_[node].value = sorted[begin++].second;
  const auto byte_at = [&](std::size_t i) { return static_cast<unsigned char>(sorted[i].first[depth]); };
  std::vector<std::pair<unsigned char, std::pair<std::size_t, std::size_t>>> children;
  for (std::size_t i = begin; i < end; ++i) {
    if (children.empty() || children.back().first != byte_at(i)) children.push_back({byte_at(i), {i, i}});
    children.back().second.second = i + 1;
  }
  const auto first_edge = static_cast<std::uint32_t>(edges_.size());
  nodes_[node].first_edge = first_edge;
  nodes_[node].edges = static_cast<std::uint32_t>(children.size());
  edges_.resize(edges_.size() + children.size());
  for (std::size_t i = 0; i < children.size(); ++i) {
    const auto& [byte, range] = children[i];
    const std::uint32_t child = build(sorted, range.first, range.second, depth + 1);  // may move edges_
    edges_[first_edge + i] = {byte, child};
  }
  return node;
}

}  // namespace lockstep
