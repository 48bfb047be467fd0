#pragma once

#include <ATen/core/Tensor.h>
#include <memory>
#include <vector>

#include "lockstep/train/optimizers/optimizer.h"

namespace lockstep::train {

/// Adafactor (Shazeer and Stern 2018) as `optim: adafactor` of the Hugging Face Trainer has it: transformers' class
/// with scale_parameter=False, relative_step=False, clip_threshold=1, decay_rate=-0.8, eps=1e-30 and no first moment;
/// weight decay is decoupled.
///
/// Of a matrix it remembers running means of the squared gradients in each row and in each column, "exp_avg_sq_row" and
/// "exp_avg_sq_col", as transformers names them; of a vector, of each element, "exp_avg_sq". Every rank holds the means
/// of all matrices. Where ranks share the elements, however they are cut, they sum what goes into these means, and then
/// a number for each parameter: the size of its update, which is clipped.
class Adafactor final : public Optimizer {
 public:
  /// As make_optimizer().
  Adafactor(const sharding::ParameterLayout& layout, const sharding::Ownership& ownership,
            const std::vector<at::Tensor>& own, const Hyperparameters& hyperparameters,
            std::shared_ptr<Communicator> communicator);

 private:
  /// What a thread computes at a time: elements of consecutive rows of a matrix, or of a vector. Tensors are views.
  struct Piece {
    std::int64_t entry;  // of the layout
    double weight_decay;
    std::size_t bucket;
    std::int64_t begin;                               // in what is owned of the bucket
    at::Tensor parameter = {};                        // [rows, columns], or [elements]
    at::Tensor squares = {};                          // of a vector, the running means
    at::Tensor row_sums = {}, row_scales = {};        // of a matrix, [rows, 1]
    at::Tensor column_sums = {}, column_scales = {};  // [columns]
    at::Tensor piece_sums = {};                       // likewise, of this piece alone

    at::Tensor gradient(const std::vector<at::Tensor>& gradients) const;
  };
  /// A parameter of more than two dimensions is `count` matrices one after another.
  struct Matrix {
    std::int64_t count, rows, columns;
    std::int64_t row_begin, column_begin;  // where what belongs to its rows and columns lies in means_
  };

  void update(const std::vector<at::Tensor>& gradients, double learning_rate) override;
  void add_vector(const sharding::ParameterLayout::Entry& entry, const OwnedPart& owned, Piece piece,
                  const at::Tensor& own);
  void add_matrix(const sharding::ParameterLayout::Entry& entry, const Matrix& matrix, const OwnedPart& owned,
                  Piece piece, const at::Tensor& own);
  template <class Compute>
  void for_each_piece(const Compute& compute);
  void update_means(const std::vector<at::Tensor>& gradients, double mean_decay);
  /// Makes updates of the gradients; the squared length of each piece's, [pieces] fp64.
  at::Tensor scale(const std::vector<at::Tensor>& gradients, double mean_decay);
  /// The learning rate of each entry, [entries]: smaller where its update is too long.
  at::Tensor clipped_rates(const at::Tensor& squared_lengths, double learning_rate);
  void sum_over_ranks(at::Tensor& tensor) const;

  const bool is_shared_;
  const std::shared_ptr<Communicator> communicator_;
  const std::int64_t piece_elements_;
  std::vector<Piece> pieces_;
  std::vector<Matrix> matrices_;
  at::Tensor entries_of_pieces_;  // [pieces] int64
  at::Tensor sizes_;              // [entries] fp64
  /// Of the rows and columns of all matrices, flat: running means of squares; how many elements are in each; the sums
  /// of a step; what gradients are multiplied with.
  at::Tensor means_, counts_, sums_, scales_;
};

}  // namespace lockstep::train
