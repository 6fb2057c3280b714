#pragma once
// Tokenising a source into a store: parallel, streaming, and never half visible.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <exception>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/core/sha256.hpp"
#include "tenon/data/report.hpp"
#include "tenon/data/source.hpp"
#include "tenon/data/store.hpp"
#include "tenon/data/tokenizer.hpp"

namespace tenon::data {

/// Thrown when `watcher::stop` asked for the end.
struct interrupted : error {
  using error::error;
};

/// What long work tells its caller, and how the caller stops it.
struct watcher {
  /// Called with what is being done, how far it is (bytes or entries) and seconds since its start: first after two
  /// seconds, then twice a second. May be empty.
  std::function<void(char const* what, std::int64_t done, std::int64_t total, double seconds)> progress;
  /// Asked several times a second; true ends the work with `interrupted`, leaving nothing behind. May be empty.
  std::function<bool()> stop;
};

namespace detail {

/// Rations the calls of a watcher over one piece of work.
class watched {
 public:
  watched(watcher const& w, char const* what, std::int64_t total) : w_(w), what_(what), total_(total) {}
  void at(std::int64_t done) {
    if (w_.stop && w_.stop()) throw interrupted(std::string("stopped while ") + what_);
    double const s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    if (!w_.progress || s < next_) return;
    next_ = s + 0.5;
    w_.progress(what_, std::min(done, total_), total_, s);
  }

 private:
  watcher const& w_;
  char const* what_;
  std::int64_t total_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  double next_ = 2.0;
};

/// A directory entry made durable.
inline void sync_directory(std::filesystem::path const& path) {
  int const fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool const fine = fd >= 0 && ::fsync(fd) == 0;
  if (fd >= 0) ::close(fd);
  if (!fine) throw error("cannot make " + path.string() + " durable: " + std::strerror(errno));
}

/// Writes one file of a store: the body first, the header with the checksums at the end.
class store_writer {
 public:
  store_writer(std::filesystem::path const& path, store_header header) : path_(path.string()), header_(header) {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd_ < 0) fail("create");
    std::byte const empty[sizeof(store_header)] = {};
    raw(empty, sizeof empty);
  }
  ~store_writer() {
    if (fd_ >= 0) ::close(fd_);
  }
  store_writer(store_writer const&) = delete;
  store_writer& operator=(store_writer const&) = delete;

  void write(void const* data, std::size_t bytes) {
    content_.update(data, bytes);
    bytes_ += bytes;
    raw(data, bytes);
  }
  void finish(std::uint64_t count) {
    header_.count = count;
    header_.file_bytes = bytes_ + sizeof header_;
    auto const c = content_.digest();
    std::copy(c.begin(), c.end(), header_.content);
    sha256 h;
    h.update(&header_, offsetof(store_header, header));
    auto const d = h.digest();
    std::copy(d.begin(), d.end(), header_.header);
    if (::lseek(fd_, 0, SEEK_SET) != 0) fail("write");
    raw(&header_, sizeof header_);
    if (::fsync(fd_) != 0) fail("write");
    int const fd = std::exchange(fd_, -1);
    if (::close(fd) != 0) fail("write");
  }

 private:
  [[noreturn]] void fail(char const* what) const {
    throw error("cannot " + std::string(what) + " " + path_ + ": " + std::strerror(errno) +
                "; check the free space of the cache directory");
  }
  void raw(void const* data, std::size_t bytes) {
    auto const* p = static_cast<char const*>(data);
    while (bytes > 0) {
      ssize_t const n = ::write(fd_, p, bytes);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) fail("write");
      p += n, bytes -= std::size_t(n);
    }
  }
  std::string path_;
  store_header header_;
  int fd_ = -1;
  sha256 content_;
  std::uint64_t bytes_ = 0;
};

/// Runs f(i, thread) for i in [0, n) on `threads` threads; the first exception comes out.
template <class F>
void parallel_for(std::size_t n, int threads, F f) {
  std::atomic<std::size_t> next{0};
  std::vector<std::exception_ptr> failures{std::size_t(threads)};
  auto work = [&](int t) {
    try {
      for (std::size_t i; (i = next++) < n;) f(i, t);
    } catch (...) {
      failures[std::size_t(t)] = std::current_exception();
      next = n;
    }
  };
  std::vector<std::thread> pool;
  for (int t = 1; t < threads; ++t) pool.emplace_back(work, t);
  work(0);
  for (auto& t : pool) t.join();
  for (auto const& e : failures) {
    if (e) std::rethrow_exception(e);
  }
}

inline std::uint64_t leading(sha256::digest_type const& d) {
  std::uint64_t x = 0;
  for (int i = 0; i < 8; ++i) x = x << 8 | d[std::size_t(i)];
  return x;
}

}  // namespace detail

/// Whether the split puts a text with this content hash on the held-out side: hash / 2^64 < fraction.
inline bool hash_holds_out(std::uint64_t content_hash, double fraction) {
  return double(content_hash >> 11) * 0x1p-53 < fraction;
}

namespace detail {

/// Sets `unlearnt_bit` of every token that lies outside of the answers altogether: a token that overlaps one is learnt.
/// `text` must be what `ids` stand for.
inline void mark_unlearnt(std::vector<std::int32_t>& ids, tokenizer const& t, std::string_view text,
                          std::vector<chat::byte_range> const& answers) {
  std::size_t at = 0, next = 0;
  for (auto& id : ids) {
    auto const end = at + (t.byte_lengths()[std::size_t(id)] > 0 ? t.bytes(id).size() : t.decode({&id, 1}).size());
    while (next < answers.size() && at >= answers[next].last) ++next;
    if (next == answers.size() || end <= answers[next].first) id = std::int32_t(std::uint32_t(id) | unlearnt_bit);
    at = end;
  }
  if (at != text.size())
    throw error("a conversation's tokens stand for " + std::to_string(at) + " bytes of " + std::to_string(text.size()) +
                ", so it is not known which of them answer; this tokenizer cannot be used for conversations");
}

}  // namespace detail

/// How a store is built.
struct store_options {
  double held_out = 0.02;  ///< fraction of documents that are held out, chosen by the hash of their text
  int threads = 2;
  std::int64_t shard_tokens = std::int64_t(1) << 28;  ///< a token file is closed when it holds as many
  std::int64_t batch_bytes = 8 << 20;                 ///< text in memory at once (besides one document per thread)
};

/// Tokenises `in` into the new directory `directory` (which must not exist; its files are durable when this returns)
/// and returns what became of the input. The tokens depend on source and tokenizer alone, not on threads or batches. A
/// document is held out if hash_holds_out says so; if one side would be empty, the document with the least (greatest)
/// hash is put there; a lone file is cut (see source::read). Memory: batch_bytes, the largest document, and 29 bytes
/// per document. Errors: what the policy stops at; no usable document; only one, so that nothing can be held out; a
/// full disk.
inline report build_store(source const& in, tokenizer const& t, std::filesystem::path const& directory,
                          store_options const& o = {}, watcher const& w = {}) {
  if (!(o.held_out > 0 && o.held_out < 1))
    throw error("the held-out fraction must lie between 0 and 1, it is " + std::to_string(o.held_out));
  std::filesystem::create_directory(directory);
  report r;
  detail::watched watch(w, "tokenising", in.bytes());
  bool const conversations = in.options().conversations != nullptr;
  std::uint32_t const width = t.size() <= 65'536 && !conversations ? 2 : 4;
  int const threads = std::max(1, o.threads);
  std::vector<encoder> encoders;
  for (int i = 0; i < threads; ++i) encoders.emplace_back(t);

  std::vector<std::uint64_t> first{0}, bytes, hash;
  std::vector<float> difficulty;
  std::vector<std::int8_t> side;
  std::unique_ptr<detail::store_writer> shard;
  std::uint64_t shard_first = 0;
  std::size_t shards = 0;
  auto close = [&] {
    if (shard) shard->finish(first.back() - shard_first);
    shard.reset();
  };
  struct result {
    std::vector<std::int32_t> ids;
    std::uint64_t hash = 0;
  };
  std::vector<document> batch;
  std::vector<result> results;
  std::int64_t batch_bytes = 0;
  std::vector<std::uint16_t> narrow;
  auto flush = [&] {
    results.resize(std::max(results.size(), batch.size()));
    detail::parallel_for(batch.size(), threads, [&](std::size_t i, int thread) {
      auto& out = results[i];
      out.ids.clear();
      if (conversations) {  // the template's own tokens are what it writes; they stand in its text
        encoders[std::size_t(thread)].encode(batch[i].text, out.ids, specials::parse);
        detail::mark_unlearnt(out.ids, t, batch[i].text, batch[i].answers);
      } else {
        encoders[std::size_t(thread)].encode(batch[i].text, out.ids, specials::as_text);
        out.ids.push_back(t.end_of_text());
      }
      sha256 h;
      h.update(batch[i].text);
      out.hash = detail::leading(h.digest());
    });
    for (std::size_t i = 0; i < batch.size(); ++i) {
      auto const& ids = results[i].ids;
      if (!shard) {
        shard_first = first.back();
        detail::store_header header;
        header.width = width, header.first = shard_first;
        shard = std::make_unique<detail::store_writer>(directory / store::shard_name(shards++), header);
      }
      if (width == 2) {
        narrow.assign(ids.begin(), ids.end());
        shard->write(narrow.data(), narrow.size() * 2);
      } else {
        shard->write(ids.data(), ids.size() * 4);
      }
      first.push_back(first.back() + ids.size());
      bytes.push_back(batch[i].text.size());
      hash.push_back(results[i].hash);
      difficulty.push_back(batch[i].difficulty);
      side.push_back(std::int8_t(batch[i].side));
      r.bytes += std::int64_t(batch[i].text.size());
      if (std::int64_t(first.back() - shard_first) >= o.shard_tokens) close();
    }
    batch.clear();
    batch_bytes = 0;
    watch.at(r.bytes + r.bad_bytes);
  };
  in.read(r, o.held_out, [&](document&& d) {
    batch_bytes += std::int64_t(d.text.size());
    batch.push_back(std::move(d));
    if (batch_bytes >= o.batch_bytes) flush();
  });
  flush();
  close();

  std::size_t const n = bytes.size();
  auto const advice =
      r.bad > 0 ? "; " + std::to_string(r.bad) + " bad ones were left out, the first: " + r.issues.front().text()
                : std::string();
  if (n == 0) throw error("no usable document in " + in.options().paths.front() + advice);
  if (n == 1)
    throw error("only one usable document in " + in.options().paths.front() +
                ", and one has to be held out; give more" + advice);
  bool any[2] = {false, false};
  for (std::size_t i = 0; i < n; ++i) {
    if (side[i] < 0) side[i] = hash_holds_out(hash[i], o.held_out) ? 1 : 0;
    any[side[i]] = true;
  }
  if (!any[1]) side[std::size_t(std::min_element(hash.begin(), hash.end()) - hash.begin())] = 1;
  if (!any[0]) side[std::size_t(std::max_element(hash.begin(), hash.end()) - hash.begin())] = 0;
  r.documents = std::int64_t(n);
  r.tokens = std::int64_t(first.back());
  for (std::size_t i = 0; i < n; ++i) {
    if (side[i] == 0) continue;
    ++r.held_out;
    r.held_out_bytes += std::int64_t(bytes[i]);
    r.held_out_tokens += std::int64_t(first[i + 1] - first[i]);
  }
  auto sorted = hash;
  std::sort(sorted.begin(), sorted.end());
  r.duplicates = std::int64_t(sorted.end() - std::unique(sorted.begin(), sorted.end()));

  detail::store_header header;
  header.kind = 1;
  detail::store_writer table(directory / store::table_name, header);
  table.write(first.data(), first.size() * 8);
  table.write(bytes.data(), n * 8);
  table.write(hash.data(), n * 8);
  table.write(difficulty.data(), n * 4);
  table.write(side.data(), n);
  table.finish(n);
  detail::sync_directory(directory);
  return r;
}

}  // namespace tenon::data
