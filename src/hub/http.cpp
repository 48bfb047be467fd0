#include "hub/http.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <mutex>

namespace lockstep::hub {
namespace {

constexpr std::size_t kLongestBody = 16U << 20;
constexpr long kConnectTimeoutSeconds = 10;
constexpr long kOk = 200, kPartialContent = 206;

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using UrlHandle = std::unique_ptr<CURLU, FreeUrl>;

void add_header(HeaderList& list, const std::string& line) {
  curl_slist* longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  static_cast<void>(list.release());
  list.reset(longer);
}

UrlHandle parse_url(const std::string& url, const std::string& base = "") {
  UrlHandle handle(curl_url());
  if (!base.empty() && curl_url_set(handle.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK) {
    throw NetworkError(fmt::format("'{}' is not a URL", url_for_message(base)));
  }
  if (curl_url_set(handle.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) {
    throw NetworkError(fmt::format("'{}' is not a URL", url_for_message(url)));
  }
  return handle;
}

std::string url_part(const UrlHandle& handle, CURLUPart part) {
  char* text = nullptr;
  const unsigned flags = part == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0;
  if (curl_url_get(handle.get(), part, &text, flags) != CURLUE_OK) return "";
  std::string result = text;
  curl_free(text);
  return result;
}

std::string lower_case(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return std::tolower(c); });
  return result;
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// Returns 100 for "bytes 100-199/200".
std::optional<std::uint64_t> first_byte(std::string_view content_range) {
  constexpr std::string_view kUnit = "bytes ";
  if (!content_range.starts_with(kUnit)) return std::nullopt;
  content_range.remove_prefix(kUnit.size());
  std::uint64_t first = 0;
  const auto [end, error] = std::from_chars(content_range.data(), content_range.data() + content_range.size(), first);
  if (error != std::errc() || end == content_range.data() + content_range.size() || *end != '-') return std::nullopt;
  return first;
}

// Returns the seconds until the hub's rate limit resets. The hub has its own header for them: RateLimit: "api";r=0;t=55
std::optional<double> rate_limit_reset(std::string_view rate_limit) {
  const std::size_t found = rate_limit.find(";t=");
  if (found == std::string_view::npos || rate_limit.find(";r=0;") == std::string_view::npos) return std::nullopt;
  const std::string_view number = rate_limit.substr(found + 3);
  unsigned seconds = 0;
  if (std::from_chars(number.data(), number.data() + number.size(), seconds).ec != std::errc()) return std::nullopt;
  return seconds;
}

// The state that the callbacks of one exchange share.
struct Exchange {
  CURL* handle;
  const HttpRequest& request;
  const BodySink& sink;
  HttpResponse response;
  std::uint64_t position = 0;
  bool started = false;
  std::exception_ptr failure;

  void begin_body() {
    started = true;
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &response.status);
    if (response.status != kPartialContent) return;
    position = first_byte(response.header("content-range")).value_or(request.offset);
  }

  void take(std::string_view bytes) {
    if (!started) begin_body();
    if (sink && (response.status == kOk || response.status == kPartialContent)) {
      sink(position, bytes);
      position += bytes.size();
    } else if (response.body.size() < kLongestBody) {
      response.body.append(bytes);
    }
  }
};

std::size_t on_header(char* data, std::size_t, std::size_t count, void* user) {
  auto& response = static_cast<Exchange*>(user)->response;
  const std::string_view line(data, count);
  if (line.starts_with("HTTP/")) response.headers.clear();  // those of an interim response
  const std::size_t colon = line.find(':');
  if (colon != std::string_view::npos) {
    response.headers[lower_case(line.substr(0, colon))] = trimmed(line.substr(colon + 1));
  }
  return count;
}

std::size_t on_body(char* data, std::size_t, std::size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  try {
    exchange.take({data, count});
    return count;
  } catch (...) {
    exchange.failure = std::current_exception();
    return count == 0 ? 1 : 0;  // exceptions must not pass through libcurl
  }
}

bool may_succeed_later(CURLcode code) {
  constexpr std::array kLasting{CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT,      CURLE_PEER_FAILED_VERIFICATION,
                                CURLE_SSL_CACERT_BADFILE,   CURLE_OUT_OF_MEMORY,      CURLE_NOT_BUILT_IN,
                                CURLE_FAILED_INIT,          CURLE_SSL_ENGINE_NOTFOUND};
  return std::ranges::find(kLasting, code) == kLasting.end();
}

bool was_connected(CURLcode code) {
  constexpr std::array kBefore{CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT};
  return std::ranges::find(kBefore, code) == kBefore.end();
}

}  // namespace

const std::string& HttpResponse::header(const std::string& name) const {
  static const std::string none;
  const auto found = headers.find(name);
  return found == headers.end() ? none : found->second;
}

struct HttpConnection::Handle {
  Handle() {
    static std::once_flag initialised;
    std::call_once(initialised, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    curl.reset(curl_easy_init());
    if (curl == nullptr) throw Error("libcurl cannot be initialised");
  }

  template <class Value>
  void set(CURLoption option, Value value) {
    const CURLcode code = curl_easy_setopt(curl.get(), option, value);
    if (code != CURLE_OK) throw Error(fmt::format("libcurl: {}", curl_easy_strerror(code)));
  }

  struct Free {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  };
  std::unique_ptr<CURL, Free> curl;
  std::array<char, CURL_ERROR_SIZE> message{};
};

HttpConnection::HttpConnection(double timeout_s, const std::filesystem::path& ca_bundle)
    : handle_(std::make_unique<Handle>()) {
  Handle& handle = *handle_;
  handle.set(CURLOPT_FOLLOWLOCATION, 0L);
#if LIBCURL_VERSION_NUM >= 0x075500
  handle.set(CURLOPT_PROTOCOLS_STR, "http,https");
#else
  handle.set(CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  handle.set(CURLOPT_USERAGENT, "lockstep/" LOCKSTEP_VERSION);
  handle.set(CURLOPT_CONNECTTIMEOUT, kConnectTimeoutSeconds);
  handle.set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  handle.set(CURLOPT_LOW_SPEED_TIME, std::lround(timeout_s));
  handle.set(CURLOPT_ERRORBUFFER, handle.message.data());
  handle.set(CURLOPT_HEADERFUNCTION, &on_header);
  handle.set(CURLOPT_WRITEFUNCTION, &on_body);
  if (!ca_bundle.empty()) handle.set(CURLOPT_CAINFO, ca_bundle.c_str());
}

HttpConnection::~HttpConnection() = default;

HttpResponse HttpConnection::perform(const HttpRequest& request, const BodySink& sink) {
  Handle& handle = *handle_;
  Exchange exchange{handle.curl.get(), request, sink, {}, 0, false, nullptr};
  HeaderList headers;
  add_header(headers, "Accept-Encoding: identity");  // sizes and ranges must be those of the file itself
  if (!request.token.empty()) add_header(headers, "Authorization: Bearer " + request.token);
  const std::string range = fmt::format("{}-", request.offset);
  handle.set(CURLOPT_URL, request.url.c_str());
  handle.set(CURLOPT_HTTPGET, 1L);
  handle.set(CURLOPT_NOBODY, request.method == HttpRequest::Method::kHead ? 1L : 0L);
  handle.set(CURLOPT_RANGE, request.offset > 0 ? range.c_str() : nullptr);
  handle.set(CURLOPT_HTTPHEADER, headers.get());
  handle.set(CURLOPT_HEADERDATA, &exchange);
  handle.set(CURLOPT_WRITEDATA, &exchange);
  handle.message.front() = '\0';
  const CURLcode code = curl_easy_perform(handle.curl.get());
  handle.set(CURLOPT_HTTPHEADER, nullptr);
  if (exchange.failure) std::rethrow_exception(exchange.failure);
  if (code != CURLE_OK) {
    const std::string why =
        fmt::format("{}: {}", url_for_message(request.url),
                    handle.message.front() != '\0' ? handle.message.data() : curl_easy_strerror(code));
    if (!may_succeed_later(code)) throw NetworkError(why);
    throw TransferFailed(why, was_connected(code));
  }
  HttpResponse& response = exchange.response;
  curl_easy_getinfo(handle.curl.get(), CURLINFO_RESPONSE_CODE, &response.status);
  curl_off_t seconds = 0;
  if (!response.header("retry-after").empty() &&
      curl_easy_getinfo(handle.curl.get(), CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK) {
    response.retry_after_s = static_cast<double>(seconds);
  } else {
    response.retry_after_s = rate_limit_reset(response.header("ratelimit"));
  }
  return std::move(response);
}

std::string url_origin(const std::string& url) {
  const UrlHandle handle = parse_url(url);
  return fmt::format("{}://{}:{}", url_part(handle, CURLUPART_SCHEME), lower_case(url_part(handle, CURLUPART_HOST)),
                     url_part(handle, CURLUPART_PORT));
}

std::string resolve_url(const std::string& base, const std::string& reference) {
  std::string url = url_part(parse_url(reference, base), CURLUPART_URL);
  if (url.empty()) throw NetworkError(fmt::format("'{}' is not a URL", url_for_message(reference)));
  return url;
}

std::string url_encode(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const bool plain =
        std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("-._~").find(c) != std::string_view::npos;
    result += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return result;
}

std::string url_for_message(const std::string& url) { return url.substr(0, url.find('?')); }

}  // namespace lockstep::hub
