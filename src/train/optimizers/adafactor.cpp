#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "train/optimizers/makers.h"

namespace lockstep::train {
namespace {

constexpr double kDecayRate = -0.8;
constexpr double kEpsilon = 1e-30;
constexpr double kClipThreshold = 1;

bool is_matrix(const at::Tensor& parameter) { return parameter.dim() >= 2 && parameter.numel() > 0; }

// Adafactor (Shazeer and Stern 2018) as configured by `optim: adafactor` of the Hugging Face Trainer: transformers'
// class with scale_parameter=False, relative_step=False, clip_threshold=1, decay_rate=-0.8, eps=1e-30 and no first
// moment; weight decay is decoupled.
//
// For a matrix, the state is the running means of the squared gradients of each row and each column, "exp_avg_sq_row"
// and "exp_avg_sq_col" as in transformers; for a vector, that of each element, "exp_avg_sq". Every rank holds the
// means of all matrices. Ranks that share the elements, however they are split, sum the contributions to these means,
// and then one number for each parameter: the size of its update, for clipping.
class Adafactor final : public Optimizer {
 public:
  explicit Adafactor(const OptimizerInputs& inputs);

 private:
  // The work of a thread at a time: consecutive rows of a matrix, or elements of a vector. Tensors are views.
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
  // A parameter of more than two dimensions is a sequence of `count` matrices.
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
  // Turns gradients into updates. Returns the squared length of each piece's update, [pieces] fp64.
  at::Tensor scale(const std::vector<at::Tensor>& gradients, double mean_decay);
  // Returns the learning rate of each entry, [entries], reduced where its update is too long.
  at::Tensor clipped_rates(const at::Tensor& squared_lengths, double learning_rate);
  void sum_over_ranks(at::Tensor& tensor) const;

  const bool is_shared_;
  const std::shared_ptr<Communicator> communicator_;
  const std::int64_t piece_elements_;
  std::vector<Piece> pieces_;
  std::vector<Matrix> matrices_;
  at::Tensor entries_of_pieces_;  // [pieces] int64
  at::Tensor sizes_;              // [entries] fp64
  // Flat tensors over the rows and columns of all matrices: running means of squares, number of elements in each, sums
  // of a step, and factors of the gradients.
  at::Tensor means_, counts_, sums_, scales_;
};

at::Tensor Adafactor::Piece::gradient(const std::vector<at::Tensor>& gradients) const {
  return gradients[bucket].narrow(0, begin, parameter.numel()).view(parameter.sizes());
}

Adafactor::Adafactor(const OptimizerInputs& inputs)
    : is_shared_(inputs.ownership.is_sharded),
      communicator_(inputs.communicator),
      // A GPU processes everything at once.
      piece_elements_(inputs.layout.options().device().is_cpu() ? kChunkElements
                                                                : std::numeric_limits<std::int64_t>::max()) {
  std::vector<at::Tensor> counts = {at::empty({0}, inputs.layout.options())};
  std::vector<double> sizes;
  std::int64_t end = 0;
  for (const sharding::ParameterLayout::Entry& entry : inputs.layout.entries()) {
    sizes.push_back(static_cast<double>(entry.parameter.numel()));
    if (!is_matrix(entry.parameter)) continue;
    const std::int64_t rows = entry.parameter.size(-2), columns = entry.parameter.size(-1);
    const std::int64_t count = entry.parameter.numel() / (rows * columns);
    matrices_.push_back({count, rows, columns, end, end + count * rows});
    counts.push_back(at::full({count * rows}, columns, inputs.layout.options()));
    counts.push_back(at::full({count * columns}, rows, inputs.layout.options()));
    end += count * (rows + columns);
  }
  sizes_ = at::tensor(sizes, at::kDouble).to(inputs.layout.options().device());
  counts_ = at::cat(counts);
  means_ = at::zeros_like(counts_);
  sums_ = at::zeros_like(counts_);
  scales_ = at::zeros_like(counts_);

  std::int64_t number = 0;
  std::size_t matrices = 0;
  for (const sharding::ParameterLayout::Entry& entry : inputs.layout.entries()) {
    const OwnedRange owned = owned_part(entry, inputs.ownership);
    const Piece piece{.entry = number++,
                      .weight_decay = entry.decayed ? inputs.hyperparameters.weight_decay : 0,
                      .bucket = entry.bucket,
                      .begin = owned.of_own.begin};
    if (is_matrix(entry.parameter)) {
      add_matrix(entry, matrices_[matrices++], owned, piece, inputs.own[entry.bucket]);
    } else {
      add_vector(entry, owned, piece, inputs.own[entry.bucket]);
    }
  }
  std::vector<std::int64_t> entries;
  for (const Piece& piece : pieces_) entries.push_back(piece.entry);
  entries_of_pieces_ = at::tensor(entries, at::kLong).to(inputs.layout.options().device());
}

void Adafactor::add_vector(const sharding::ParameterLayout::Entry& entry, const OwnedRange& owned, Piece piece,
                           const at::Tensor& own) {
  const std::string name = entry.name + "/exp_avg_sq";
  state_sizes_.emplace(name, entry.parameter.numel());
  const std::int64_t size = owned.of_own.size();
  if (size <= 0) return;
  const at::Tensor squares = at::zeros({size}, own.options());
  state_.push_back({name, owned.of_parameter, squares});
  for (std::int64_t begin = 0; begin < size; begin += piece_elements_) {
    const std::int64_t elements = std::min(piece_elements_, size - begin);
    piece.begin = owned.of_own.begin + begin;
    piece.parameter = own.narrow(0, piece.begin, elements);
    piece.squares = squares.narrow(0, begin, elements);
    pieces_.push_back(piece);
  }
}

void Adafactor::add_matrix(const sharding::ParameterLayout::Entry& entry, const Matrix& matrix, const OwnedRange& owned,
                           Piece piece, const at::Tensor& own) {
  const auto& [count, rows, columns, row_begin, column_begin] = matrix;
  const bool is_saved = owned.of_parameter.begin == 0 && owned.of_parameter.size() > 0;
  const auto remember = [&](const char* kind, std::int64_t begin, std::int64_t size) {
    state_.push_back({entry.name + kind, {0, size}, means_.narrow(0, begin, size), is_saved});
    state_sizes_.emplace(entry.name + kind, size);
  };
  remember("/exp_avg_sq_row", row_begin, count * rows);
  remember("/exp_avg_sq_col", column_begin, count * columns);

  std::int64_t begin = owned.of_parameter.begin;
  while (begin < owned.of_parameter.end) {
    const std::int64_t row = begin / columns, column = begin % columns, left = owned.of_parameter.end - begin;
    // A piece is whole rows of one matrix, or the owned part of a row that ranks share.
    const bool is_whole = column == 0 && left >= columns;
    const std::int64_t height =
        is_whole ? std::min({left / columns, std::max<std::int64_t>(1, piece_elements_ / columns), rows - row % rows})
                 : 1;
    const std::int64_t width = is_whole ? columns : std::min(columns - column, left);
    piece.begin = owned.of_own.begin + begin - owned.of_parameter.begin;
    piece.parameter = own.narrow(0, piece.begin, height * width).view({height, width});
    const std::int64_t first_column = column_begin + row / rows * columns + column;
    piece.row_sums = sums_.narrow(0, row_begin + row, height).unsqueeze(1);
    piece.row_scales = scales_.narrow(0, row_begin + row, height).unsqueeze(1);
    piece.column_sums = sums_.narrow(0, first_column, width);
    piece.column_scales = scales_.narrow(0, first_column, width);
    piece.piece_sums = at::empty({width}, own.options());
    pieces_.push_back(piece);
    begin += height * width;
  }
}

template <class Compute>
void Adafactor::for_each_piece(const Compute& compute) {
  const auto all = static_cast<std::int64_t>(pieces_.size());
  at::parallel_for(0, all, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) compute(pieces_[static_cast<std::size_t>(i)], i);
  });
}

void Adafactor::update(const std::vector<at::Tensor>& gradients, double learning_rate) {
  const double mean_decay = 1 - std::pow(static_cast<double>(updates()), kDecayRate);
  update_means(gradients, mean_decay);
  const at::Tensor rates = clipped_rates(scale(gradients, mean_decay), learning_rate);
  for_each_piece([&](const Piece& piece, std::int64_t) {
    if (piece.weight_decay != 0) piece.parameter.mul_(1 - learning_rate * piece.weight_decay);
    piece.parameter.addcmul_(piece.gradient(gradients), rates.select(0, piece.entry), -1);
  });
}

// Column sums are added piece by piece in a fixed order, so that they are the same for any number of threads.
void Adafactor::update_means(const std::vector<at::Tensor>& gradients, double mean_decay) {
  sums_.zero_();
  for_each_piece([&](const Piece& piece, std::int64_t) {
    if (piece.squares.defined()) return;
    const at::Tensor squares = piece.gradient(gradients).square();
    piece.row_sums.copy_(squares.sum(1, /*keepdim=*/true));
    piece.piece_sums.copy_(squares.sum(0));
  });
  for (const Piece& piece : pieces_) {
    if (!piece.squares.defined()) piece.column_sums.add_(piece.piece_sums);
  }
  sum_over_ranks(sums_);
  means_.mul_(mean_decay).add_(sums_.div_(counts_).add_(kEpsilon), 1 - mean_decay);
}

at::Tensor Adafactor::scale(const std::vector<at::Tensor>& gradients, double mean_decay) {
  at::rsqrt_out(scales_, means_);
  for (const auto& [count, rows, columns, row_begin, column_begin] : matrices_) {
    const at::Tensor means = means_.narrow(0, row_begin, count * rows).view({count, rows});
    scales_.narrow(0, row_begin, count * rows).view({count, rows}).mul_(means.mean(1, /*keepdim=*/true).sqrt_());
  }
  at::Tensor squared_lengths = at::empty({static_cast<std::int64_t>(pieces_.size())}, sizes_.options());
  for_each_piece([&](const Piece& piece, std::int64_t i) {
    const at::Tensor gradient = piece.gradient(gradients);
    if (piece.squares.defined()) {
      piece.squares.mul_(mean_decay).add_(gradient.square().add_(kEpsilon), 1 - mean_decay);
      gradient.mul_(piece.squares.rsqrt());
    } else {
      gradient.mul_(piece.row_scales).mul_(piece.column_scales);
    }
    squared_lengths.select(0, i).copy_(gradient.square().sum());
  });
  return squared_lengths;
}

at::Tensor Adafactor::clipped_rates(const at::Tensor& squared_lengths, double learning_rate) {
  at::Tensor sums = at::zeros_like(sizes_).index_add_(0, entries_of_pieces_, squared_lengths);
  sum_over_ranks(sums);
  const at::Tensor root_mean_squares = sums.div_(sizes_).sqrt_();
  return (learning_rate / root_mean_squares.div_(kClipThreshold).clamp_min_(1)).to(means_.options());
}

void Adafactor::sum_over_ranks(at::Tensor& tensor) const {
  if (!is_shared_) return;
  at::Tensor on_host = tensor.cpu();
  communicator_->all_reduce_sum(on_host);
  if (!tensor.is_cpu()) tensor.copy_(on_host);
}

}  // namespace

std::unique_ptr<Optimizer> make_adafactor(const OptimizerInputs& inputs) { return std::make_unique<Adafactor>(inputs); }

}  // namespace lockstep::train
