#include "hub/http.h"

#include <gtest/gtest.h>

namespace lockstep::hub {
namespace {

TEST(Url, OriginsAreComparable) {
  EXPECT_EQ(url_origin("https://Huggingface.CO/a?b"), url_origin("https://huggingface.co:443/c"));
  EXPECT_EQ(url_origin("http://host/a"), "http://host:80");
  EXPECT_NE(url_origin("http://host/a"), url_origin("https://host/a"));
  EXPECT_NE(url_origin("http://host:1/a"), url_origin("http://host:2/a"));
  EXPECT_EQ(url_origin("https://huggingface.co@evil.example/"), "https://evil.example:443");
  EXPECT_THROW(url_origin("not a url"), NetworkError);
}

TEST(Url, ReferencesAreResolved) {
  EXPECT_EQ(resolve_url("https://hub/a/b?c", "/d?e=f%2Fg"), "https://hub/d?e=f%2Fg");
  EXPECT_EQ(resolve_url("https://hub/a/b", "https://storage:8443/x"), "https://storage:8443/x");
  EXPECT_EQ(resolve_url("https://hub/a/b", "//storage/x"), "https://storage/x");
}

TEST(Url, IsEncodedAndShownWithoutItsSignature) {
  EXPECT_EQ(url_encode("refs/pr/1 \xc3\xa4-._~"), "refs%2Fpr%2F1%20%C3%A4-._~");
  EXPECT_EQ(url_for_message("https://storage/a?Signature=secret"), "https://storage/a");
}

TEST(HttpConnection, OtherProtocolsAreRefused) {
  HttpConnection connection(1, "");
  EXPECT_THROW(connection.perform({.url = "file:///etc/passwd"}), NetworkError);
}

}  // namespace
}  // namespace lockstep::hub
