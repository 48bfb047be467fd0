#pragma once

#include <ATen/core/Tensor.h>
#include <memory>
#include <vector>

#include "lockstep/train/optimizers/optimizer.h"

namespace lockstep::train {

/// Adafactor (Shazeer and Stern 2018) as configured by `optim: adafactor` of the Hugging Face Trainer: transformers'
/// class with scale_parameter=False, relative_step=False, clip_threshold=1, decay_rate=-0.8, eps=1e-30 and no first
/// moment; weight decay is decoupled.
///
/// For a matrix, the state is the running means of the squared gradients of each row and each column, "exp_avg_sq_row"
/// and "exp_avg_sq_col" as in transformers; for a vector, that of each element, "exp_avg_sq". Every rank holds the
/// means of all matrices. Ranks that share the elements, however they are split, sum the contributions to these means,
/// and then one number for each parameter: the size of its update, for clipping.
class Adafactor final : public Optimizer {
 public:
  /// Takes the arguments of make_optimizer().
  Adafactor(const sharding::ParameterLayout& layout, const sharding::Ownership& ownership,
            const std::vector<at::Tensor>& own, const Hyperparameters& hyperparameters,
            std::shared_ptr<Communicator> communicator);

 private:
  /// The work of a thread at a time: consecutive rows of a matrix, or elements of a vector. Tensors are views.
  struct Piece {
    std::int64_t entry;  // index into the layout
    double weight_decay;
    std::size_t bucket;
    std::int64_t begin;                               // within what is owned of the bucket
    at::Tensor parameter = {};                        // [rows, columns], or [elements]
    at::Tensor squares = {};                          // running means, for a vector
    at::Tensor row_sums = {}, row_scales = {};        // for a matrix, [rows, 1]
    at::Tensor column_sums = {}, column_scales = {};  // for a matrix, [columns]
    at::Tensor piece_sums = {};                       // [columns], of this piece only

    at::Tensor gradient(const std::vector<at::Tensor>& gradients) const;
  };
  /// A parameter of more than two dimensions is a sequence of `count` matrices.
  struct Matrix {
    std::int64_t count, rows, columns;
    std::int64_t row_begin, column_begin;  // where the values of its rows and columns begin in means_
  };

  void update(const std::vector<at::Tensor>& gradients, double learning_rate) override;
  void add_vector(const sharding::ParameterLayout::Entry& entry, const OwnedRange& owned, Piece piece,
                  const at::Tensor& own);
  void add_matrix(const sharding::ParameterLayout::Entry& entry, const Matrix& matrix, const OwnedRange& owned,
                  Piece piece, const at::Tensor& own);
  template <class Compute>
  void for_each_piece(const Compute& compute);
  void update_means(const std::vector<at::Tensor>& gradients, double mean_decay);
  /// Turns gradients into updates. Returns the squared length of each piece's update, [pieces] fp64.
  at::Tensor scale(const std::vector<at::Tensor>& gradients, double mean_decay);
  /// Returns the learning rate of each entry, [entries], reduced where its update is too long.
  at::Tensor clipped_rates(const at::Tensor& squared_lengths, double learning_rate);
  void sum_over_ranks(at::Tensor& tensor) const;

  const bool is_shared_;
  const std::shared_ptr<Communicator> communicator_;
  const std::int64_t piece_elements_;
  std::vector<Piece> pieces_;
  std::vector<Matrix> matrices_;
  at::Tensor entries_of_pieces_;  // [pieces] int64
  at::Tensor sizes_;              // [entries] fp64
  /// Flat tensors over the rows and columns of all matrices: running means of squares, number of elements in each, sums
  /// of a step, and factors of the gradients.
  at::Tensor means_, counts_, sums_, scales_;
};

}  // namespace lockstep::train
