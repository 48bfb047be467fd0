#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::train {

/// A file of a checkpoint, as listed in its manifest.
struct CheckpointFile {
  std::string name;
  std::uint64_t bytes = 0;
  std::string sha256 = {};
};

/// A checkpoint is a folder with the model, trainer_state.json, the optimizer's files and, written last, the manifest.
inline constexpr const char* kTrainerStateFile = "trainer_state.json";
inline constexpr const char* kCheckpointManifestFile = "manifest.json";

/// Returns the folder name of a checkpoint: "checkpoint-000120".
std::string checkpoint_name(std::uint64_t step);
/// Returns the name of a rank's optimizer file: "optimizer-00000-of-00004.safetensors".
std::string optimizer_file_name(int rank, int ranks);
bool is_optimizer_file_name(std::string_view name);

/// Flushes a file to disk and returns its size and hash. Where the system allows, the hash is of the bytes on the disk
/// instead of cached ones. Throws Error or InputError, naming the file, if it cannot be flushed or read.
CheckpointFile describe_file(const std::filesystem::path& folder, const std::string& name);

/// Returns what is wrong with a checkpoint, e.g. "model.safetensors: expected 12 bytes, found 7", or an empty string if
/// every byte of the files in its manifest is as it was written. Hashes files with several threads. Does not throw
/// because of what it finds.
std::string find_defect(const std::filesystem::path& checkpoint);

/// The checkpoints of a run in its output_dir. Each appears under its name complete or not at all, and disappears as a
/// whole. Only rank 0 may call these functions, unless noted otherwise. They throw Error, naming the folder, if a
/// system call fails.
class CheckpointFolder {
 public:
  explicit CheckpointFolder(std::filesystem::path output_dir);

  std::filesystem::path path(std::uint64_t step) const;
  /// Returns the folder in which the files of a checkpoint are written until commit(). Any rank may call it.
  std::filesystem::path partial_path(std::uint64_t step) const;
  /// Creates the partial folder, empty. Throws Error, with the bytes needed and available and the remedy, if the disk
  /// has less room than `expected_bytes`, which counts the files of all ranks.
  void begin(std::uint64_t step, std::uint64_t expected_bytes);
  /// Writes the manifest of `files`, which must be all files of the partial folder, and moves the folder into place,
  /// replacing an earlier checkpoint of this step. Throws Error if a file is missing or has another size.
  void commit(std::uint64_t step, const std::vector<CheckpointFile>& files);
  /// Removes the partial folder.
  void discard(std::uint64_t step);

  /// Returns the steps of all folders with a checkpoint's name, complete or not, in rising order.
  std::vector<std::uint64_t> steps() const;
  /// Removes all checkpoints except those of the `newest` highest steps and the one of step `also_kept`.
  void prune(std::uint64_t newest, std::optional<std::uint64_t> also_kept);
  /// Removes folders that killed runs have left half written or half removed.
  void remove_leftovers();

  /// retire_checkpoints() renames all checkpoints of another run, so that no run resumes from them;
  /// retire_checkpoints_after() renames those after `step`, which a run that resumes from there will write again.
  void retire_checkpoints();
  void retire_checkpoints_after(std::uint64_t step);
  /// Removes the renamed checkpoints, once the run has a checkpoint of its own.
  void remove_retired_checkpoints();

 private:
  std::filesystem::path hidden_path(std::uint64_t step, std::string_view suffix) const;
  /// Renames before removing, so that no half removed folder has a checkpoint's name.
  void remove(std::uint64_t step);
  void rename_to_hidden(std::uint64_t step, std::string_view suffix);
  void remove_hidden(std::string_view suffix);

  std::filesystem::path output_dir_;
};

}  // namespace lockstep::train
