#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/text/tokenizer.h"

namespace lockstep {

/// The most likely segmentation under a unigram language model (Kudo 2018), with the tie-breaking and single-precision
/// sums of SentencePiece 0.2's EncodeOptimized(). Older SentencePiece libraries break ties otherwise.
class UnigramModel {
 public:
  struct Piece {
    std::string text;
    float score = 0;
    bool normal = true;         // counts for the unknown token's score
    bool user_defined = false;  // always preferred
  };
  /// `pieces` by id; those with an empty text are never matched. Consecutive unknown characters become one
  /// `unknown_id`.
  UnigramModel(std::vector<Piece> pieces, TokenId unknown_id);

  /// Appends the ids of `text`, which is normalized already and valid UTF-8.
  void encode(std::string_view text, std::vector<TokenId>& ids) const;

 private:
  // A trie in two arrays: the edges of a node are consecutive and sorted by byte.
  struct Node {
    std::uint32_t first_edge = 0, edges = 0;
    std::int32_t piece = -1;
  };
  struct Edge {
    unsigned char byte;
    std::uint32_t node;
  };
  std::uint32_t build(const std::vector<std::uint32_t>& sorted, std::size_t begin, std::size_t end, std::size_t depth);
  const Node* step(const Node& node, char byte) const;
  float score(std::size_t piece, std::size_t length) const;

  std::vector<Piece> pieces_;
  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
  TokenId unknown_id_;
  float unknown_score_ = 0;
  float max_score_ = 0;
};

}  // namespace lockstep
