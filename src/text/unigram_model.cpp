#include "unigram_model.h"

#include <algorithm>
#include <limits>

#include "character_class.h"

namespace lockstep {
namespace {

constexpr float kUnknownPenalty = 10.0F;  // SentencePiece's kUnkPenalty

}  // namespace

UnigramModel::UnigramModel(std::vector<Piece> pieces, TokenId unknown_id)
    : pieces_(std::move(pieces)), unknown_id_(unknown_id) {
  float min_score = std::numeric_limits<float>::max();
  max_score_ = std::numeric_limits<float>::lowest();
  std::vector<std::uint32_t> sorted;
  for (std::uint32_t id = 0; id < pieces_.size(); ++id) {
    const Piece& piece = pieces_[id];
    if (!piece.text.empty()) sorted.push_back(id);
    if (!piece.normal) continue;
    min_score = std::min(min_score, piece.score);
    max_score_ = std::max(max_score_, piece.score);
  }
  unknown_score_ = min_score - kUnknownPenalty;
  std::sort(sorted.begin(), sorted.end(), [&](auto a, auto b) { return pieces_[a].text < pieces_[b].text; });
  build(sorted, 0, sorted.size(), 0);
}

// The node of the pieces [begin, end) of `sorted`, which share their first `depth` bytes.
std::uint32_t UnigramModel::build(const std::vector<std::uint32_t>& sorted, std::size_t begin, std::size_t end,
                                  std::size_t depth) {
  const auto node = static_cast<std::uint32_t>(nodes_.size());
  nodes_.emplace_back();
  while (begin < end && pieces_[sorted[begin]].text.size() == depth) {
    nodes_[node].piece = static_cast<std::int32_t>(sorted[begin++]);
  }
  const auto byte_at = [&](std::size_t i) { return static_cast<unsigned char>(pieces_[sorted[i]].text[depth]); };
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

const UnigramModel::Node* UnigramModel::step(const Node& node, char byte) const {
  const auto begin = edges_.begin() + node.first_edge;
  const auto end = begin + node.edges;
  const auto wanted = static_cast<unsigned char>(byte);
  const auto found =
      std::lower_bound(begin, end, wanted, [](const Edge& edge, unsigned char b) { return edge.byte < b; });
  return found == end || found->byte != wanted ? nullptr : &nodes_[found->node];
}

float UnigramModel::score(std::size_t piece, std::size_t length) const {
  if (!pieces_[piece].user_defined) return pieces_[piece].score;
  return static_cast<float>(static_cast<double>(static_cast<float>(length) * max_score_) - 0.1);
}

void UnigramModel::encode(std::string_view text, std::vector<TokenId>& ids) const {
  struct Best {
    float score = 0;
    std::size_t begin = std::string_view::npos;  // of the last piece of the best path that ends here
    TokenId id = 0;
  };
  std::vector<Best> best(text.size() + 1);
  const auto offer = [&](std::size_t begin, std::size_t end, TokenId id, float piece_score) {
    const float total = piece_score + best[begin].score;
    if (best[end].begin == std::string_view::npos || total > best[end].score) best[end] = {total, begin, id};
  };
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t next = begin;
    next_code_point(text, next);
    bool has_single_character = false;
    const Node* node = nodes_.data();
    for (std::size_t end = begin; end < text.size();) {
      node = step(*node, text[end++]);
      if (node == nullptr) break;
      if (node->piece < 0) continue;
      const auto piece = static_cast<std::size_t>(node->piece);
      offer(begin, end, static_cast<TokenId>(piece), score(piece, end - begin));
      if (end == next) has_single_character = true;
    }
    if (!has_single_character) offer(begin, next, unknown_id_, unknown_score_);
    begin = next;
  }
  const std::size_t first = ids.size();
  for (std::size_t end = text.size(); end > 0; end = best[end].begin) {
    const bool repeats_unknown = best[end].id == unknown_id_ && ids.size() > first && ids.back() == unknown_id_;
    if (!repeats_unknown) ids.push_back(best[end].id);
  }
  std::reverse(ids.begin() + static_cast<std::ptrdiff_t>(first), ids.end());
}

}  // namespace lockstep
