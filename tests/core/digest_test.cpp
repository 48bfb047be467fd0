#include "lockstep/core/digest.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"

namespace lockstep::core {
namespace {

// The two test vectors of FIPS 180-2, appendix B.
TEST(Digest, MatchesPublishedVectors) {
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 digest;
  digest.update("abcdbcdecdefdefgefghfghi");
  digest.update("ghijhijkijkljklmklmnlmnomnopnopq");
  EXPECT_EQ(digest.hex_digest(), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Digest, OfAFileIsThatOfItsBytes) {
  const auto path = std::filesystem::temp_directory_path() / ("digest_test_" + std::to_string(::getpid()));
  std::string bytes(3'000'000, 'x');
  bytes.front() = bytes[999'999] = 'y';
  write_file(path, bytes);
  EXPECT_EQ(sha256_file(path), sha256(bytes));
  EXPECT_EQ(sha256_of_range(path, 1'000'000, 1'500'000), sha256(std::string(1'500'000, 'x')));
  EXPECT_EQ(sha256_of_range(path, 2'000'000, 1'500'000), sha256(std::string(1'000'000, 'x')));
  EXPECT_EQ(sha256_of_range(path, 3'000'000, 1), sha256(""));
  std::filesystem::remove(path);
  EXPECT_THROW(sha256_file(path), InputError);
}

TEST(Digest, OfAGitBlobIsGitsOwn) {
  const auto path = std::filesystem::temp_directory_path() / ("digest_test_git_" + std::to_string(::getpid()));
  write_file(path, "hello\n");
  EXPECT_EQ(git_blob_id(path), "ce013625030ba8dba906f756967f9e9ca394464a");  // git hash-object
  std::filesystem::remove(path);
  EXPECT_THROW(git_blob_id(path), InputError);
}

}  // namespace
}  // namespace lockstep::core
