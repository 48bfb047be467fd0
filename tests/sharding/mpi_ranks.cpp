// Run by mpirun with several ranks. Exits with 0 on every rank if the collectives are right.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <unistd.h>
#include <cmath>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lockstep/comm/agreement.h"
#include "lockstep/comm/communicator.h"
#include "lockstep/sharding/flat_parameters.h"
#include "lockstep/sharding/gradient_reducer.h"

namespace {

using lockstep::Communicator;

void expect(bool condition, const Communicator& communicator, std::string_view what) {
  if (condition) return;
  fmt::print(stderr, "{}: {}\n", lockstep::comm::describe_rank(communicator), what);
  std::exit(EXIT_FAILURE);
}

void check_sums(Communicator& communicator) {
  const int ranks = communicator.world_size();
  for (const auto type : {at::kFloat, at::kDouble, at::kLong}) {
    // Longer than one message, so that splitting into messages is tested, too.
    const at::Tensor values = at::arange((std::int64_t{1} << 24) + 5, at::kLong).remainder(97).to(type);
    at::Tensor sum = values * (communicator.rank() + 1);
    communicator.all_reduce_sum(sum);
    expect(sum.equal(values * (ranks * (ranks + 1) / 2)), communicator, "all_reduce_sum is wrong");
  }
}

// Tests collectives of every kind and of many sizes, several of them in flight at once.
void check_pending(Communicator& communicator) {
  const int ranks = communicator.world_size();
  struct Case {
    at::Tensor reduced, scattered, gathered;
  };
  std::vector<Case> cases;
  std::vector<std::shared_ptr<lockstep::comm::PendingCollective>> pending;
  const auto values = [&](std::int64_t size, at::ScalarType type) {
    return at::arange(size, at::kLong).remainder(7).to(type);
  };
  for (const std::int64_t size : {1, 15, 33, 1000, 70'001, 5'000'017}) {
    for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
      const at::Tensor mine = values(size, type) * (communicator.rank() + 1);
      cases.push_back({mine.clone(), mine.clone(), at::zeros_like(mine)});
      Case& c = cases.back();
      const lockstep::comm::Range part = lockstep::comm::range_of(size, communicator.rank(), ranks);
      c.gathered.narrow(0, part.begin, part.size()).copy_(values(size, type).narrow(0, part.begin, part.size()));
      pending.push_back(communicator.begin_all_reduce_sum(c.reduced, "a sum"));
      pending.push_back(communicator.begin_reduce_scatter_sum(c.scattered, "a scattered sum"));
      pending.push_back(communicator.begin_all_gather(c.gathered, "a gathering"));
    }
  }
  for (const auto& collective : pending) collective->wait();
  for (const Case& c : cases) {
    const auto type = c.reduced.scalar_type();
    const std::int64_t size = c.reduced.numel();
    const at::Tensor sum = values(size, type) * (ranks * (ranks + 1) / 2);
    const lockstep::comm::Range part = lockstep::comm::range_of(size, communicator.rank(), ranks);
    const auto own = [&](const at::Tensor& tensor) { return tensor.narrow(0, part.begin, part.size()); };
    expect(c.reduced.equal(sum), communicator, "begin_all_reduce_sum is wrong");
    expect(own(c.scattered).equal(own(sum)), communicator, "begin_reduce_scatter_sum is wrong");
    expect(c.gathered.equal(values(size, type)), communicator, "begin_all_gather is wrong");
  }
}

// A sum of random numbers is rounded in the same way on all ranks, whichever collectives compute it.
void check_same_bits(Communicator& communicator) {
  at::manual_seed(static_cast<std::uint64_t>(communicator.rank()));
  const std::int64_t size = 300'007;
  const at::Tensor mine = at::randn({size});
  at::Tensor whole = mine.clone(), parts = mine.clone();
  communicator.all_reduce_sum(whole);
  communicator.begin_reduce_scatter_sum(parts, "a sum")->wait();
  communicator.begin_all_gather(parts, "its gathering")->wait();
  expect(parts.equal(whole), communicator, "a sum in two passes has other bits than one in one");
  at::Tensor of_root = whole.clone();
  communicator.broadcast_from_root(of_root);
  expect(of_root.equal(whole), communicator, "a sum's bits differ from rank to rank");
}

// The gradients of all ranks' batches equal those of one process, whatever the buckets.
void check_reducer(Communicator& communicator, const std::shared_ptr<Communicator>& shared) {
  struct Mode {
    bool is_sharded, frees_buckets;
    at::ScalarType message_type;
    double tolerance;
  };
  for (const std::int64_t bucket_bytes : {1, 1100, 1 << 20}) {
    for (const Mode& mode : {Mode{false, false, at::kFloat, 1e-5}, Mode{true, false, at::kFloat, 1e-5},
                             Mode{true, true, at::kFloat, 1e-5}, Mode{false, false, at::kBFloat16, 0.02},
                             Mode{true, false, at::kBFloat16, 0.02}, Mode{true, true, at::kBFloat16, 0.02}}) {
      at::manual_seed(1);
      std::vector<lockstep::sharding::NamedParameter> parameters;
      for (int i = 0; i < 5; ++i) parameters.push_back({std::to_string(i), at::randn({11, 11}).requires_grad_()});
      parameters.push_back({"bias", at::randn({11}).requires_grad_()});
      parameters.push_back({"unused", at::randn({3, 5}).requires_grad_()});
      const auto loss_of = [&](int rank, int step) {
        at::Tensor hidden = at::full({2, 11}, 0.1 * (rank + 1 + step));
        for (const auto& parameter : parameters) {
          if (parameter.name != "unused" && parameter.name != "bias") {
            hidden = at::tanh(at::matmul(hidden, parameter.tensor));
          }
        }
        return (hidden + parameters[5].tensor + at::matmul(hidden, parameters[0].tensor)).square().sum();
      };
      const lockstep::sharding::ParameterLayout layout(parameters, {.bytes = bucket_bytes});
      const auto ownership = mode.is_sharded ? lockstep::sharding::Ownership::sharded(layout, communicator)
                                             : lockstep::sharding::Ownership::replicated(layout);
      // There are two passes per step; the second rank has none in the last step, and one in the step before.
      const auto passes = [&](int rank, int step) { return rank != 1 ? 2 : 2 - step; };
      std::vector<std::vector<at::Tensor>> expected;
      for (int step = 0; step < 3; ++step) {
        for (const auto& bucket : layout.buckets()) {
          if (&bucket == layout.buckets().data()) expected.emplace_back();
          expected.back().push_back(at::zeros({bucket.size}));
        }
        for (const auto& entry : layout.entries()) entry.parameter.mutable_grad() = at::Tensor();
        for (int rank = 0; rank < communicator.world_size(); ++rank) {
          for (int pass = 2 - passes(rank, step); pass < 2; ++pass) loss_of(rank, step + 5 * pass).backward();
        }
        for (const auto& entry : layout.entries()) {
          if (!entry.parameter.grad().defined()) continue;
          lockstep::sharding::ParameterLayout::view(expected.back()[entry.bucket], entry).copy_(entry.parameter.grad());
        }
      }
      lockstep::sharding::GradientReducer reducer(
          layout, ownership, shared, {.frees_buckets = mode.frees_buckets, .message_type = mode.message_type});
      for (int step = 0; step < 3; ++step) {
        reducer.zero();
        for (int pass = 0; pass < 2; ++pass) {
          reducer.begin_pass(pass == 1);
          if (pass >= 2 - passes(communicator.rank(), step)) loss_of(communicator.rank(), step + 5 * pass).backward();
          reducer.end_pass();
        }
        reducer.finish();
        double squares = 0;
        for (std::size_t i = 0; i < layout.buckets().size(); ++i) {
          const at::Tensor& whole = expected[static_cast<std::size_t>(step)][i];
          squares += whole.square().sum().item<double>();
          const double scale = whole.abs().max().item<double>() + 1e-3;
          const at::Tensor difference = reducer.gradients()[i] - ownership.own(whole, i);
          expect(difference.numel() == 0 || difference.abs().max().item<double>() <= mode.tolerance * scale,
                 communicator, "reduced gradients are wrong");
        }
        expect(std::abs(reducer.norm() / std::sqrt(squares) - 1) <= mode.tolerance, communicator,
               "their norm is wrong");
      }
      if (communicator.rank() != 1) {
        expect(reducer.unused_parameters() == std::vector<std::string>{"unused"}, communicator,
               "unused_parameters is wrong");
      }
    }
  }
}

// Parameters of which each rank has updated its range are complete where they are needed, and freed elsewhere.
void check_parameters(Communicator& communicator, const std::shared_ptr<Communicator>& shared) {
  for (const bool frees_layers : {false, true}) {
    std::vector<lockstep::sharding::NamedParameter> parameters;
    for (std::size_t unit = 0; unit < 4; ++unit) {
      parameters.push_back({"weight", at::full({23, 7}, 1.0).requires_grad_(), unit});
      parameters.push_back({"bias", at::full({5}, 1.0).requires_grad_(), unit});
    }
    const lockstep::sharding::ParameterLayout layout(parameters, {.bytes = 2000, .spans_units = !frees_layers});
    lockstep::sharding::FlatParameters flat(layout, lockstep::sharding::Ownership::sharded(layout, communicator),
                                            shared, frees_layers);
    const auto expect_value = [&](std::size_t unit, double value) {
      for (const auto& parameter : parameters) {
        if (parameter.unit != unit) continue;
        expect(parameter.tensor.eq(value).all().item<bool>(), communicator, "gathered parameters are wrong");
      }
    };
    for (int round = 1; round <= 3; ++round) {
      const at::NoGradGuard no_grad;
      flat.begin_update();
      for (const at::Tensor& own : flat.own()) own.fill_(round);
      flat.end_update();
      if (round == 2) continue;  // no unit was needed
      for (std::size_t unit = 0; unit < 4; ++unit) {
        if (unit + 1 < 4) flat.begin_gather(unit + 1);
        flat.gather(unit);
        expect_value(unit, round);
        flat.release(unit);
      }
      const bool is_gone = parameters.back().tensor.storage().nbytes() == 0;
      expect(is_gone == frees_layers, communicator, "released parameters take memory, or others do not");
      expect_value(0, round);
    }
    flat.gather_all();
    for (std::size_t unit = 0; unit < 4; ++unit) expect_value(unit, 3);
  }
}

void check_broadcast(Communicator& communicator) {
  for (const auto type : {at::kFloat, at::kBFloat16, at::kByte}) {
    // Longer than one message, so that splitting into messages is tested, too.
    const at::Tensor values = at::arange((std::int64_t{1} << 26) + 5, at::kInt).remainder(97).to(type);
    at::Tensor received = communicator.is_root() ? values.clone() : at::zeros_like(values);
    communicator.broadcast_from_root(received);
    expect(received.equal(values), communicator, "broadcast_from_root is wrong");
  }
}

void check_agreement(Communicator& communicator) {
  bool failed_here = false, failed_elsewhere = false;
  try {
    lockstep::comm::run_on_all(communicator, [&] {
      if (communicator.rank() == communicator.world_size() - 1) throw lockstep::InputError("reason");
    });
  } catch (const lockstep::comm::PeerFailed&) {
    failed_elsewhere = true;
  } catch (const lockstep::InputError&) {
    failed_here = true;
  }
  const bool is_last = communicator.rank() == communicator.world_size() - 1;
  expect(is_last ? failed_here : failed_elsewhere, communicator, "run_on_all does not agree on the failure");
}

void check_text(Communicator& communicator) {
  const std::string text = communicator.is_root() ? "\xc3\xa4 of rank 0" : "of another rank";
  expect(lockstep::comm::broadcast_text(communicator, text) == "\xc3\xa4 of rank 0", communicator,
         "broadcast_text is wrong");
  expect(lockstep::comm::broadcast_text(communicator, "").empty(), communicator, "broadcast_text is wrong for no text");
  const std::vector<std::string> texts = lockstep::comm::all_gather_texts(
      communicator, std::string(static_cast<std::size_t>(communicator.rank()), '\xe4'));
  for (std::size_t rank = 0; rank < texts.size(); ++rank) {
    expect(texts[rank] == std::string(rank, '\xe4'), communicator, "all_gather_texts is wrong");
  }
  expect(static_cast<int>(texts.size()) == communicator.world_size(), communicator, "all_gather_texts lacks ranks");
}

// Returns what a rank learns about differing facts: a message, "peer" if another rank reports it, or nothing if all
// agree.
std::string compare(Communicator& communicator, const lockstep::comm::SharedFacts& facts) {
  try {
    lockstep::comm::check_agreement(communicator, facts, "the remedy");
  } catch (const lockstep::comm::PeerFailed&) {
    return "peer";
  } catch (const lockstep::InputError& error) {
    return error.what();
  }
  return "";
}

void check_facts(Communicator& communicator) {
  const int ranks = communicator.world_size();
  const bool is_last = communicator.rank() == ranks - 1;
  const auto expect_message = [&](const lockstep::comm::SharedFacts& facts, int speaker, std::string_view message) {
    const std::string said = compare(communicator, facts);
    const bool is_right = communicator.rank() == speaker ? said.find(message) != std::string::npos : said == "peer";
    expect(is_right, communicator, fmt::format("check_agreement says '{}'", said));
  };
  const lockstep::comm::SharedFacts facts = {{"rate", "1"}, {"seed", "2"}, {"\xff", "\xfe"}};
  expect(compare(communicator, facts).empty(), communicator, "check_agreement refuses what is alike");
  if (ranks == 1) return;

  lockstep::comm::SharedFacts last = {{"rate", "1"}, {"seed", is_last ? "3" : "2"}, {"\xff", "\xfe"}};
  expect_message(last, ranks - 1, fmt::format("(rank {} with rank 0 on ", ranks - 1));
  expect_message(last, ranks - 1, ": seed: expected 2, found 3; the remedy");
  if (is_last) last = {{"rate", "1"}, {"other", "4"}, {"\xff", "\xfe"}};
  expect_message(last, ranks - 1, ": seed: expected 2, found none; other: expected none, found 4; the remedy");

  lockstep::comm::SharedFacts first = facts;
  if (communicator.is_root()) first = {{"a", "1"}, {"b", "1"}, {"c", "1"}, {"rate", "0"}};
  expect_message(first, 1, ranks == 2 ? "(rank 1 with" : fmt::format("(all {} other ranks with", ranks - 1));
  expect_message(first, 1,
                 "a: expected 1, found none; b: expected 1, found none; c: expected 1, found none; and 3 more;");
}

}  // namespace

int main(int argc, char** argv) {
  const auto communicator = lockstep::make_communicator();
  expect(argc == 2 && communicator->world_size() == std::atoi(argv[1]), *communicator, "world_size is wrong");
  expect(communicator->cores_per_rank() >= 1, *communicator, "cores_per_rank is wrong");
  check_sums(*communicator);
  check_pending(*communicator);
  check_same_bits(*communicator);
  check_reducer(*communicator, communicator);
  check_parameters(*communicator, communicator);
  check_broadcast(*communicator);
  check_agreement(*communicator);
  check_text(*communicator);
  check_facts(*communicator);
  communicator->barrier();
  return EXIT_SUCCESS;
}
