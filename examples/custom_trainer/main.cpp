// A trainer of one's own: trains only the decoder of a T5-type model and keeps its encoder as it is.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <lockstep/lockstep.h>

namespace {

class DecoderTrainer final : public lockstep::BaseTrainer {
 public:
  explicit DecoderTrainer(lockstep::TrainedModel model) : trained_(std::move(model)) {
    for (const auto& parameter : trained_.model->named_parameters()) {
      if (parameter.key().rfind("encoder.", 0) == 0) parameter.value().set_requires_grad(false);
    }
  }

  lockstep::TrainedModel train_model(const std::vector<lockstep::Dataset>& training_datasets,
                                     const lockstep::HyperparameterChoices& hyperparameters = {},
                                     const std::vector<lockstep::Dataset>& validation_datasets = {}) override {
    const auto communicator = lockstep::make_communicator();
    const auto validation = validation_datasets.empty() ? nullptr : tokenize(validation_datasets);
    lockstep::TrainingLoop loop(*trained_.model, tokenize(training_datasets), validation,
                                trained_.tokenizer->pad_id().value(),
                                lockstep::Hyperparameters::from_choices(hyperparameters), communicator);
    LossPrinter printer;
    if (communicator->is_root()) {
      loop.run({&printer});
    } else {
      loop.run({});
    }
    return trained_;
  }

 private:
  class LossPrinter final : public lockstep::MetricSink {
   public:
    void on_step(const lockstep::StepMetrics& metrics) override {
      std::cout << "step " << metrics.step << ": loss " << metrics.loss << '\n';
    }
    void on_evaluation(const lockstep::EvaluationMetrics& metrics) override {
      std::cout << "epoch " << metrics.epoch << ": validation loss " << metrics.eval_loss() << '\n';
    }
  };

  std::shared_ptr<const lockstep::TokenizedDataset> tokenize(const std::vector<lockstep::Dataset>& datasets) const {
    const auto& info = trained_.model->info();
    const lockstep::ExampleBuilder builder(trained_.tokenizer, info.has_encoder, 64);
    return lockstep::tokenize_in_memory(datasets, builder,
                                        {.vocabulary_size = static_cast<std::uint64_t>(info.vocabulary_size)});
  }

  lockstep::TrainedModel trained_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: custom_trainer T5_FOLDER ROWS.jsonl\n";
    return EXIT_FAILURE;
  }
  try {
    const auto model = lockstep::TrainedModel::create(argv[1], /*seed=*/1);
    const at::Tensor before = model.model->named_parameters()["encoder.block.0.layer.0.SelfAttention.q.weight"].clone();
    DecoderTrainer trainer(model);
    const auto trained =
        trainer.train_model({lockstep::Dataset::from_file(argv[2])},
                            {{"num_train_epochs", 1}, {"global_batch_size", 32}, {"learning_rate", 1e-3}});
    std::cout << "walk -> " << trained.generate({"walk"}, {.max_new_tokens = 8}).front() << '\n';
    const at::Tensor& after = model.model->named_parameters()["encoder.block.0.layer.0.SelfAttention.q.weight"];
    if (!after.equal(before)) {
      std::cerr << "the frozen encoder has changed\n";
      return EXIT_FAILURE;
    }
  } catch (const lockstep::Error& error) {
    std::cerr << error.what() << '\n';
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
