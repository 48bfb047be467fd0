#include "hub/hub_client.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "hub/retries.h"
#include "lockstep/core/json.h"

namespace lockstep::hub {
namespace {

constexpr int kAttempts = 6;
constexpr int kAttemptsToConnect = 3;  // so that a node without network fails soon
constexpr int kMaxRedirects = 10;

// The origins to which a redirect may carry the token, as in huggingface_hub (utils/_http.py).
constexpr std::array kHubs{"https://huggingface.co:443", "https://hf.co:443"};

bool is_transient(long status) {
  constexpr std::array kStatuses{408L, 429L, 500L, 502L, 503L, 504L};
  return std::ranges::find(kStatuses, status) != kStatuses.end();
}

bool is_redirect(const HttpResponse& response) {
  constexpr std::array kStatuses{301L, 302L, 303L, 307L, 308L};
  return std::ranges::find(kStatuses, response.status) != kStatuses.end() && !response.header("location").empty();
}

// Returns abc for `"abc"` and for `W/"abc"`.
std::string_view without_quotes(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  return etag;
}

// The ETag becomes a file name.
bool is_safe(std::string_view etag) {
  constexpr std::size_t kLongest = 128;
  return !etag.empty() && etag.size() <= kLongest && etag.front() != '.' &&
         std::ranges::all_of(etag,
                             [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; });
}

std::optional<std::uint64_t> to_size(const std::string& text) {
  std::uint64_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  return !text.empty() && error == std::errc() && end == text.data() + text.size() ? std::optional(size) : std::nullopt;
}

[[noreturn]] void not_a_hub(const std::string& url, std::string_view found) {
  throw Error(
      fmt::format("{}: expected the response of a Hugging Face hub, found {}; check HF_ENDPOINT, and whether a proxy "
                  "or a login page intercepts requests",
                  url_for_message(url), found));
}

}  // namespace

HubClient::HubClient(const HubSettings& settings, ModelName name)
    : settings_(settings), name_(std::move(name)), connection_(settings.timeout_s, settings.ca_bundle) {}

HubClient::Listing HubClient::list(const std::string& revision) {
  const std::string url =
      fmt::format("{}/api/models/{}/revision/{}", settings_.endpoint, name_.repository, url_encode(revision));
  const HttpResponse response = request(HttpRequest::Method::kGet, url);
  try {
    const Json json = Json::parse(response.body);
    Listing listing{json.at("sha"), {}};
    for (const Json& file : json.at("siblings")) listing.files.insert(file.at("rfilename").get<std::string>());
    if (is_commit(listing.commit)) return listing;
  } catch (const Json::exception&) {  // reported below
  }
  not_a_hub(url, fmt::format("'{:.60}'", response.body));
}

HubClient::File HubClient::describe(const std::string& commit, const std::string& file) {
  const std::string url = file_url(commit, file);
  const HttpResponse response = request(HttpRequest::Method::kHead, url);
  if (response.header("x-repo-commit").empty()) not_a_hub(url, "no X-Repo-Commit header");
  const std::string& linked = response.header("x-linked-etag");
  const std::string_view etag = without_quotes(linked.empty() ? response.header("etag") : linked);
  if (!is_safe(etag)) not_a_hub(url, fmt::format("the ETag '{}'", etag));
  const auto linked_size = to_size(response.header("x-linked-size"));
  const auto own_size = is_redirect(response) ? std::nullopt : to_size(response.header("content-length"));
  return {file, std::string(etag), linked_size ? linked_size : own_size};
}

void HubClient::fetch(const std::string& commit, const std::string& file, std::uint64_t offset, const BodySink& sink) {
  follow({.method = HttpRequest::Method::kGet, .url = file_url(commit, file), .offset = offset}, sink);
}

std::string HubClient::file_url(const std::string& commit, const std::string& file) const {
  return fmt::format("{}/{}/resolve/{}/{}", settings_.endpoint, name_.repository, commit, url_encode(file));
}

bool HubClient::is_hub(const std::string& url) const {
  const std::string origin = url_origin(url);
  return origin == url_origin(settings_.endpoint) || std::ranges::find(kHubs, origin) != kHubs.end();
}

HttpResponse HubClient::request(HttpRequest::Method method, const std::string& url) {
  Retries after_answer(kAttempts), unreached(kAttemptsToConnect);
  while (true) {
    try {
      return follow({.method = method, .url = url});
    } catch (const TransferFailed& failure) {
      Retries& retries = failure.connected() ? after_answer : unreached;
      if (!retries.wait(failure.what(), failure.retry_after_s())) throw;
    }
  }
}

HttpResponse HubClient::follow(HttpRequest request, const BodySink& sink) {
  const std::string first_url = request.url;
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    const bool to_hub = is_hub(request.url);
    request.token = to_hub ? settings_.token : "";
    HttpResponse response = connection_.perform(request, sink);
    check(response, request.url, to_hub);
    if (!is_redirect(response)) return response;
    request.url = resolve_url(request.url, response.header("location"));
    // The headers about a file that is stored elsewhere are those of the hub's redirect.
    if (request.method == HttpRequest::Method::kHead && !is_hub(request.url)) return response;
  }
  throw NetworkError(fmt::format("{}: expected a response, found more than {} redirects; check HF_ENDPOINT and proxies",
                                 url_for_message(first_url), kMaxRedirects));
}

void HubClient::check(const HttpResponse& response, const std::string& url, bool from_hub) const {
  if ((response.status >= 200 && response.status < 300) || is_redirect(response)) return;
  // Storage refuses a signed URL after it expires; on a retry the hub issues a new one.
  if (is_transient(response.status) || !from_hub) {
    throw TransferFailed(fmt::format("{}: HTTP status {}", url_for_message(url), response.status), true,
                         response.retry_after_s);
  }
  refuse(response, url);
}

void HubClient::refuse(const HttpResponse& response, const std::string& url) const {
  constexpr std::string_view kLogIn = "log in with `hf auth login`, or set HF_TOKEN";
  const std::string& code = response.header("x-error-code");
  const std::string& said = response.header("x-error-message");
  const std::string page = fmt::format("{}/{}", settings_.endpoint, name_.repository);
  const bool anonymous = settings_.token.empty();
  const std::string token =
      anonymous ? "no token is given" : fmt::format("the token of {} is given", settings_.token_origin);
  if (response.status == 401 && said == "Invalid credentials in Authorization header") {
    throw Refused(fmt::format("{}: the token of {} is not valid; {}", page, settings_.token_origin, kLogIn));
  }
  if (code == "GatedRepo") {
    throw Refused(
        fmt::format("{}: the model is gated and needs approved access ({}); accept its conditions on that page{}", page,
                    token, anonymous ? fmt::format(", then {}", kLogIn) : ", or give another token"));
  }
  if (code == "RevisionNotFound") {
    throw Refused(fmt::format("{}: the model has no revision '{}'; give one of its branches, tags or commits", page,
                              name_.revision));
  }
  if (code == "EntryNotFound") throw Refused(fmt::format("{}: the model has no such file", url_for_message(url)));
  if (code == "RepoNotFound" || response.status == 401 || response.status == 404) {
    throw Refused(fmt::format("{}: no model of this name, or a private one ({}); check the name{}", page, token,
                              anonymous ? fmt::format("; for a private one {}", kLogIn) : ""));
  }
  throw Refused(
      fmt::format("{}: HTTP status {}{}{}", url_for_message(url), response.status, said.empty() ? "" : ": ", said));
}

}  // namespace lockstep::hub
