#pragma once
// Tokenised documents on disk, memory-mapped. Layout: docs/data.md.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/core/sha256.hpp"

namespace tenon::data {

/// The two sides of the corpus; a document is on exactly one.
enum class split : std::uint8_t { train = 0, held_out = 1 };

/// How much of a store is checked when it is opened.
enum class verify {
  headers,  ///< sizes and the headers' own checksums
  all,      ///< also the SHA-256 of every byte (about 2 GB/s with SHA instructions, 0.3 GB/s without)
};

namespace detail {

/// The first 256 bytes of every file of a store; integers are little-endian.
struct store_header {
  char magic[8] = {'t', 'e', 'n', 'o', 'n', 't', 'o', 'k'};
  std::uint32_t version = 1;
  std::uint32_t kind = 0;   ///< 0: tokens; 1: document table
  std::uint32_t width = 0;  ///< bytes per token (kind 0): 2 or 4
  std::uint32_t reserved = 0;
  std::uint64_t count = 0;  ///< tokens (kind 0), documents (kind 1)
  std::uint64_t first = 0;  ///< kind 0: index of the first token in the corpus
  std::uint64_t file_bytes = 0;
  std::uint8_t content[32] = {};  ///< SHA-256 of all bytes after the header
  std::uint8_t padding[144] = {};
  std::uint8_t header[32] = {};  ///< SHA-256 of the bytes before this field
};
static_assert(sizeof(store_header) == 256);

/// A file mapped for reading, with its header checked.
class mapped_store_file {
 public:
  mapped_store_file(std::filesystem::path const& path, std::uint32_t kind, verify how) : path_(path.string()) {
    int const fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) throw error("cannot open " + path_ + ": " + std::strerror(errno));
    struct stat s {};
    if (::fstat(fd, &s) == 0) size_ = std::size_t(s.st_size);
    void* p = size_ >= sizeof(store_header) ? ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    int const why = errno;
    ::close(fd);
    if (size_ < sizeof(store_header)) throw error(path_ + " is damaged: it ends before its header");
    if (p == MAP_FAILED) throw error("cannot map " + path_ + ": " + std::strerror(why));
    base_ = static_cast<std::byte const*>(p);
    try {
      check(kind, how);
    } catch (...) {
      ::munmap(p, size_);
      throw;
    }
  }
  ~mapped_store_file() { ::munmap(const_cast<std::byte*>(base_), size_); }
  mapped_store_file(mapped_store_file const&) = delete;
  mapped_store_file& operator=(mapped_store_file const&) = delete;

  store_header const& header() const { return header_; }
  std::byte const* body() const { return base_ + sizeof(store_header); }
  std::size_t body_bytes() const { return size_ - sizeof(store_header); }

 private:
  void check(std::uint32_t kind, verify how) {
    std::memcpy(&header_, base_, sizeof header_);
    sha256 h;
    h.update(&header_, offsetof(store_header, header));
    if (std::memcmp(header_.magic, store_header{}.magic, 8) != 0) throw error(path_ + " is not a token store");
    if (std::memcmp(h.digest().data(), header_.header, 32) != 0)
      throw error(path_ + " is damaged: its header does not match its checksum");
    if (header_.version != 1 || header_.kind != kind) throw error(path_ + " was written by another version of tenon");
    bool const width = kind == 1 ? header_.width == 0 : header_.width == 2 || header_.width == 4;
    if (!width || header_.file_bytes != size_) throw error(path_ + " is damaged: its size is not what its header says");
    std::uint64_t const unit = kind == 1 ? 29 : header_.width;
    std::uint64_t const extra = kind == 1 ? 8 : 0;
    if (header_.count > body_bytes() / unit || header_.count * unit + extra != body_bytes())
      throw error(path_ + " is damaged: its tables do not fill it");
    if (how == verify::all) {
      sha256 c;
      c.update(body(), body_bytes());
      if (std::memcmp(c.digest().data(), header_.content, 32) != 0)
        throw error(path_ + " is damaged: its content does not match its checksum");
    }
  }
  std::string path_;
  store_header header_;
  std::byte const* base_ = nullptr;
  std::size_t size_ = 0;
};

/// The columns of the document table, as they lie in the file.
struct document_table {
  std::uint64_t const* first = nullptr;  ///< [documents + 1] index of each document's first token
  std::uint64_t const* bytes = nullptr;  ///< [documents] bytes of text
  std::uint64_t const* hash = nullptr;   ///< [documents] first eight bytes of the SHA-256 of the text
  float const* difficulty = nullptr;     ///< [documents] as given, or NaN
  std::uint8_t const* side = nullptr;    ///< [documents] split
};

}  // namespace detail

/// A token as a store of conversations holds it: its id, with this bit set where nobody is to learn to say it.
inline constexpr std::uint32_t unlearnt_bit = std::uint32_t(1) << 31;
constexpr std::int32_t id_of(std::int32_t stored) { return std::int32_t(std::uint32_t(stored) & ~unlearnt_bit); }
constexpr bool is_learnt(std::int32_t stored) { return stored >= 0; }

/// A read-only corpus of tokenised documents. Every document's tokens end with the tokenizer's end of text; those of a
/// conversation are as its template wrote them, most of them with `unlearnt_bit`. Cheap to copy, safe to share between threads. Made by `build_store` or `prepare`.
class store {
 public:
  /// Opens the store in `directory`. Errors: a file that is missing, damaged or of another version, with its path.
  explicit store(std::filesystem::path const& directory, verify how = verify::all)
      : s_(std::make_shared<state>(directory, how)) {}

  std::int64_t documents() const { return s_->documents; }
  /// Tokens, end-of-text tokens included.
  std::int64_t tokens() const { return std::int64_t(s_->table.first[s_->documents]); }
  /// Tokens of document `i`, at least 1.
  std::int64_t length(std::int64_t i) const { return std::int64_t(s_->table.first[i + 1] - s_->table.first[i]); }
  /// Bytes of text of document `i`.
  std::int64_t bytes(std::int64_t i) const { return std::int64_t(s_->table.bytes[i]); }
  /// First eight bytes of the SHA-256 of the text of document `i`, as a big-endian number.
  std::uint64_t content_hash(std::int64_t i) const { return s_->table.hash[i]; }
  /// The difficulty that came with document `i`, or NaN.
  float difficulty(std::int64_t i) const { return s_->table.difficulty[i]; }
  split side(std::int64_t i) const { return split(s_->table.side[i]); }
  /// SHA-256 (hexadecimal) of tokens and tables, and of nothing else: paths, times and the cut into files do not enter
  /// except by the order of documents. Keys the loader's order.
  std::string const& hash() const { return s_->hash; }

  /// Copies `count` tokens of document `i` from its token `from` on. Errors: none; the range must lie in the document.
  void copy(std::int64_t i, std::int64_t from, std::int64_t count, std::int32_t* out) const {
    std::uint64_t const at = s_->table.first[i] + std::uint64_t(from);
    auto const next = std::upper_bound(s_->starts.begin(), s_->starts.end(), s_->table.first[i]);
    auto const& f = *s_->shards[std::size_t(next - s_->starts.begin() - 1)];
    std::uint64_t const offset = at - f.header().first;
    if (f.header().width == 2) {
      auto const* p = reinterpret_cast<std::uint16_t const*>(f.body()) + offset;
      std::copy(p, p + count, out);
    } else {
      auto const* p = reinterpret_cast<std::uint32_t const*>(f.body()) + offset;
      for (std::int64_t k = 0; k < count; ++k) out[k] = std::int32_t(p[k]);
    }
  }

  /// Names of the files of a store.
  static std::string shard_name(std::size_t i) {
    std::string n = std::to_string(i);
    return "tokens-" + std::string(n.size() < 5 ? 5 - n.size() : 0, '0') + n + ".bin";
  }
  static constexpr char const* table_name = "documents.bin";

 private:
  struct state {
    state(std::filesystem::path const& directory, verify how) : documents_file(directory / table_name, 1, how) {
      documents = std::int64_t(documents_file.header().count);
      if (documents == 0) throw error((directory / table_name).string() + " is damaged: it holds no document");
      auto const n = std::size_t(documents);
      auto const* p = documents_file.body();
      table.first = reinterpret_cast<std::uint64_t const*>(p), p += (n + 1) * 8;
      table.bytes = reinterpret_cast<std::uint64_t const*>(p), p += n * 8;
      table.hash = reinterpret_cast<std::uint64_t const*>(p), p += n * 8;
      table.difficulty = reinterpret_cast<float const*>(p), p += n * 4;
      table.side = reinterpret_cast<std::uint8_t const*>(p);
      std::uint64_t at = 0;
      auto const damaged = [&](char const* what) { return error(directory.string() + " is damaged: " + what); };
      if (table.first[0] != 0) throw damaged("the first document does not start at 0");
      for (std::size_t i = 0; i < n; ++i) {
        if (table.first[i + 1] <= table.first[i] || table.side[i] > 1)
          throw damaged("the document table is not in order");
      }
      sha256 h;
      for (std::size_t i = 0; at < table.first[n]; ++i) {
        shards.push_back(std::make_unique<detail::mapped_store_file>(directory / shard_name(i), 0, how));
        auto const& f = shards.back()->header();
        if (f.first != at || f.count == 0) throw damaged("its token files do not follow each other");
        if (!std::binary_search(table.first, table.first + n + 1, at))
          throw damaged("a document lies in two token files");
        starts.push_back(at);
        at += f.count;
        h.update(f.content, 32);
      }
      if (at != table.first[n]) throw damaged("its token files hold more than its table says");
      h.update(documents_file.header().content, 32);
      hash = h.hex();
    }
    detail::mapped_store_file documents_file;
    detail::document_table table;
    std::vector<std::unique_ptr<detail::mapped_store_file>> shards;
    std::vector<std::uint64_t> starts;
    std::int64_t documents = 0;
    std::string hash;
  };
  std::shared_ptr<state const> s_;
};

}  // namespace tenon::data
