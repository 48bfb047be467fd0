#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace lockstep::text {

/// Maps strings to numbers, and is walked byte by byte to find all strings that are prefixes of a text.
class ByteTrie {
 public:
  static constexpr std::int32_t kNoValue = -1;
  struct Node {
    std::uint32_t first_edge = 0, edges = 0;
    std::int32_t value = kNoValue;
  };

  ByteTrie() : ByteTrie(std::vector<std::pair<std::string_view, std::int32_t>>{}) {}
  /// The last of several equal strings determines the value.
  explicit ByteTrie(std::vector<std::pair<std::string_view, std::int32_t>> strings);

  const Node* root() const { return nodes_.data(); }
  /// Returns the child of `node` for `byte`, or null if no string continues that way.
  const Node* step(const Node* node, char byte) const {
    const auto wanted = static_cast<unsigned char>(byte);
    if (node == nodes_.data()) return first_[wanted] == 0 ? nullptr : &nodes_[first_[wanted]];
    const Edge* edges = edges_.data() + node->first_edge;
    std::size_t low = 0, high = node->edges;
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      if (edges[middle].byte < wanted) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low < node->edges && edges[low].byte == wanted ? &nodes_[edges[low].node] : nullptr;
  }
  /// Returns true if some string begins with `byte`.
  bool starts_with(char byte) const { return first_[static_cast<unsigned char>(byte)] != 0; }

 private:
  // The edges of a node are consecutive and sorted by byte; those of the root are also in first_.
  struct Edge {
    unsigned char byte;
    std::uint32_t node;
  };
  using Strings = std::vector<std::pair<std::string_view, std::int32_t>>;
  void build(const Strings& sorted);

  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
  std::uint32_t first_[256] = {};
};

}  // namespace lockstep::text
