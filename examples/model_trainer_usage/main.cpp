// The GenerationModelTrainer from first to last: in-memory datasets and files, hyperparameters by name, training,
// inference with what it returns, further fine-tuning, saving.
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include <lockstep/lockstep.h>

namespace fs = std::filesystem;

namespace {

// A folder with weights. Real work starts from a pretrained model; this example can do with random weights.
fs::path pretrained_folder(const fs::path& model_folder, const fs::path& work_folder) {
  if (fs::exists(model_folder / "model.safetensors")) return model_folder;
  const fs::path folder = work_folder / "random-weights";
  lockstep::TrainedModel::create(model_folder, /*seed=*/7).save(folder);
  return folder;
}

void show_answers(const lockstep::TrainedModel& trained, const std::vector<std::string>& prompts) {
  const std::vector<std::string> answers = trained.generate(prompts, {.max_new_tokens = 16});
  for (std::size_t i = 0; i < prompts.size(); ++i) std::cout << prompts[i] << " -> " << answers[i] << '\n';
}

// Mistakes are InputErrors that say what to do instead.
void show_mistakes(lockstep::BaseTrainer& trainer, const std::vector<lockstep::Dataset>& datasets) {
  const std::vector<lockstep::HyperparameterChoices> mistakes = {{{"num_epochs", 3}}, {{"num_train_epochs", -1}}};
  for (const auto& hyperparameters : mistakes) {
    try {
      trainer.train_model(datasets, hyperparameters);
      std::exit(EXIT_FAILURE);
    } catch (const lockstep::InputError& error) {
      std::cout << "refused: " << error.what() << '\n';
    }
  }
  try {
    lockstep::Dataset::from_columns({"one", "two"}, {"only one"});
    std::exit(EXIT_FAILURE);
  } catch (const lockstep::InputError& error) {
    std::cout << "refused: " << error.what() << '\n';
  }
}

void run(const fs::path& model_folder, bool has_encoder, const fs::path& rows_file, const fs::path& work_folder) {
  // The folder of a pretrained model, whether it has an encoder (T5-type) or not (GPT-type), and, optionally, the
  // length in tokens beyond which rows are cut.
  const std::string pretrained_model_name = pretrained_folder(model_folder, work_folder).string();
  const std::size_t model_max_length = 64;
  lockstep::GenerationModelTrainer trainer(pretrained_model_name, has_encoder, model_max_length);

  // Datasets have the columns model_input and model_output. Together they are one training set.
  const std::vector<lockstep::Dataset> training_datasets = {
      lockstep::Dataset::from_columns({"walk", "run twice"}, {"I_WALK", "I_RUN I_RUN"}),
      lockstep::Dataset::from_columns({"jump", "look"}, {"I_JUMP", "I_LOOK"}),
      lockstep::Dataset::from_file(rows_file),
  };
  const std::vector<lockstep::Dataset> validation_datasets = {
      lockstep::Dataset::from_columns({"walk twice"}, {"I_WALK I_WALK"})};
  show_mistakes(trainer, training_datasets);

  lockstep::HyperparameterChoices hyperparameters = {
      {"output_dir", (work_folder / "first").string()},
      {"num_train_epochs", 2},
      {"per_device_train_batch_size", 16},
      {"learning_rate", 1e-3},
      {"warmup_steps", 4},
  };
  auto [model, tokenizer] = trainer.train_model(training_datasets, hyperparameters, validation_datasets);

  // What it returns generates at once,
  const std::vector<std::string> prompts = {"walk", "jump twice"};
  const lockstep::TrainedModel trained{model, tokenizer};
  show_answers(trained, prompts);

  // can be trained further,
  lockstep::GenerationModelTrainer further(trained, model_max_length);
  hyperparameters["output_dir"] = (work_folder / "further").string();
  hyperparameters["learning_rate"] = 5e-4;
  const lockstep::TrainedModel improved = further.train_model(training_datasets, hyperparameters, validation_datasets);
  show_answers(improved, prompts);

  // and is in output_dir, as a folder that transformers opens.
  const lockstep::TrainedModel reloaded = lockstep::TrainedModel::load(work_folder / "further");
  if (reloaded.generate(prompts) != improved.generate(prompts)) {
    std::cerr << "the saved model answers differently\n";
    std::exit(EXIT_FAILURE);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: model_trainer_usage MODEL_FOLDER encoder-decoder|decoder-only ROWS.jsonl WORK_FOLDER\n";
    return EXIT_FAILURE;
  }
  try {
    run(argv[1], std::string(argv[2]) == "encoder-decoder", argv[3], argv[4]);
  } catch (const lockstep::Error& error) {
    std::cerr << error.what() << '\n';
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
