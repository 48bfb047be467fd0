#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::train {

/// A file of a checkpoint, as its manifest names it.
struct CheckpointFile {
  std::string name;
  std::uint64_t bytes = 0;
  std::string sha256 = {};
};

/// A checkpoint is a folder with the model, this, the optimizer's files, and, written last, the manifest.
inline constexpr const char* kTrainerStateFile = "trainer_state.json";
inline constexpr const char* kCheckpointManifestFile = "manifest.json";

/// "checkpoint-000120"
std::string checkpoint_name(std::uint64_t step);
/// "optimizer-00000-of-00004.safetensors"
std::string optimizer_file_name(int rank, int ranks);
bool is_optimizer_file_name(std::string_view name);

/// Size and hash of a file, which, where the system allows, is read from the disk and not from what memory holds of it.
/// Throws Error or InputError, naming the file, if it cannot be written to the disk or read.
CheckpointFile describe_file(const std::filesystem::path& folder, const std::string& name);

/// What is wrong with a checkpoint, e.g. "model.safetensors: expected 12 bytes, found 7"; empty: every byte of the
/// files that its manifest names is as it was written. Files are hashed by several threads. Throws nothing for what it
/// finds.
std::string flaw_of(const std::filesystem::path& checkpoint);

/// The checkpoints of a run in its output_dir: each appears under its name complete or not at all, and goes as a whole.
/// For rank 0 alone, unless said otherwise. Functions throw Error, naming the folder, if the system refuses.
class CheckpointFolder {
 public:
  explicit CheckpointFolder(std::filesystem::path output_dir);

  std::filesystem::path path(std::uint64_t step) const;
  /// Where the files of a checkpoint are written until commit(). For any rank.
  std::filesystem::path partial_path(std::uint64_t step) const;
  /// Makes the partial folder, empty. Throws Error, with what is needed, what is there and the remedy, if the disk has
  /// less room than `expected_bytes`, those of all ranks.
  void begin(std::uint64_t step, std::uint64_t expected_bytes);
  /// Writes the manifest of `files`, all that lie in the partial folder, and puts the folder in place, instead of an
  /// earlier checkpoint of this step if there is one. Throws Error if a file is not there with its size.
  void commit(std::uint64_t step, const std::vector<CheckpointFile>& files);
  /// Removes what was begun.
  void discard(std::uint64_t step);

  /// Of the folders with a checkpoint's name, whole or not, in rising order.
  std::vector<std::uint64_t> steps() const;
  /// Removes all but those of the `newest` highest steps, and the one of `also_kept`.
  void prune(std::uint64_t newest, std::optional<std::uint64_t> also_kept);
  /// Removes what killed runs have left: folders half written and half removed.
  void remove_leftovers();

  /// Renames checkpoints, so that no run resumes from them: those of another run, or those after `step`, which a run
  /// that resumes from there will write anew.
  void set_aside();
  void set_aside_after(std::uint64_t step);
  /// Removes them; once the run has a checkpoint of its own.
  void remove_set_aside();

 private:
  std::filesystem::path hidden_path(std::uint64_t step, std::string_view suffix) const;
  /// Renamed first: never half removed under its name.
  void remove(std::uint64_t step);
  void rename_to_hidden(std::uint64_t step, std::string_view suffix);
  void remove_hidden(std::string_view suffix);

  std::filesystem::path output_dir_;
};

}  // namespace lockstep::train
