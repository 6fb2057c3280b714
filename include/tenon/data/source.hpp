#pragma once
// Where text comes from: directories, text files, JSONL. Lists first, then streams documents in a fixed order.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/data/detail/conversation_record.hpp"
#include "tenon/data/detail/json_record.hpp"
#include "tenon/data/report.hpp"
#include "tenon/data/utf8.hpp"

namespace tenon::data {

/// What to read and how. Everything here is part of the cache key of the token store.
struct source_options {
  std::vector<std::string> paths = {};  ///< directories (searched recursively), text files, .jsonl/.ndjson files
  std::vector<std::string> extensions =
      {};  ///< of files in directories, with the dot; empty: every file that is not binary
  std::vector<std::string> exclude = {};  ///< path prefixes below a directory that are left out, such as "ATen/ops/"
  std::string text_field = "text";        ///< of a JSONL record; a string
  std::string difficulty_field = {};      ///< of a JSONL record; a number; empty: no difficulty is read
  /// Set: a record holds a list of messages (`text_field` names it), which is written in this form; only JSONL is read.
  std::shared_ptr<chat::format const> conversations = {};
  on_bad bad = on_bad::skip;
  std::int64_t max_document = 64 << 20;  ///< bytes: a longer text file is cut at line ends, a longer line is bad
};

/// Extensions of C++ headers: the default corpus is the headers that ship with LibTorch.
inline std::vector<std::string> header_extensions() { return {".h", ".hpp", ".hh", ".hxx", ".cuh", ".inl", ".inc"}; }

/// One text with where it came from.
struct document {
  std::string text = {};  ///< well-formed UTF-8, not empty
  float difficulty = std::numeric_limits<float>::quiet_NaN();
  int side = -1;  ///< -1: the split decides; 0: training; 1: held out (the tail of a lone file)
  std::vector<chat::byte_range> answers = {};  ///< of a conversation: what of its text is to be learnt
};

/// A file to be read.
struct input_file {
  std::string path = {};
  std::string name = {};  ///< below the directory that was given, or the file's own name; orders and keys the input
  std::int64_t size = 0, modified = 0;  ///< bytes; nanoseconds since 1970
  bool jsonl = false;
  bool listed = false;  ///< found in a directory, so that a binary file is no mistake
};

namespace detail {

struct file_handle {
  int fd;
  explicit file_handle(std::string const& path) : fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~file_handle() {
    if (fd >= 0) ::close(fd);
  }
  file_handle(file_handle const&) = delete;
  file_handle& operator=(file_handle const&) = delete;
};

}  // namespace detail

/// The documents of an input. The order is that of `paths`, and inside a directory by name; the same for every run.
class source {
 public:
  /// Lists the input. Errors: a path that is not there or cannot be read, or nothing to read at all.
  explicit source(source_options options) : o_(std::move(options)) {
    if (o_.paths.empty()) throw error("no data: give a directory, text files or .jsonl files");
    if (o_.max_document < 64) throw error("max_document must be at least 64 bytes");
    namespace fs = std::filesystem;
    for (auto const& given : o_.paths) {
      std::error_code ec;
      auto const status = fs::status(given, ec);
      if (!fs::exists(status)) throw error("no file or directory " + given + "; check the path of the data");
      if (fs::is_directory(status)) {
        list(given);
      } else if (fs::is_regular_file(status)) {
        add(given, fs::path(given).filename().string(), false);
      } else {
        throw error(given + " is neither a file nor a directory; only those can be read as data");
      }
    }
    if (files_.empty()) {
      std::string which;
      for (auto const& e : o_.extensions) which += (which.empty() ? " with extension " : " ") + e;
      throw error("no files" + which + " in " + o_.paths.front() + (o_.paths.size() > 1 ? " and the other paths" : "") +
                  " (" + std::to_string(other_) + " others were left out); give a directory with text");
    }
  }

  source_options const& options() const { return o_; }
  std::vector<input_file> const& files() const { return files_; }
  /// Bytes of all files as listed.
  std::int64_t bytes() const {
    std::int64_t n = 0;
    for (auto const& f : files_) n += f.size;
    return n;
  }

  /// Calls `use(document&&)` for each document in order, holding one file part or line at a time. Counts into `r`
  /// (files, cut, empty, blank_lines, other_files, bad; not documents). A single text file is cut at the line end
  /// nearest before its last `lone_tail` (a fraction; 0: not at all), so that there is something to hold out. Errors:
  /// under on_bad::stop the first bad document, with file and line.
  template <class Use>
  void read(report& r, double lone_tail, Use&& use) const {
    r.other_files += other_;
    for (auto const& f : files_) {
      detail::file_handle const h(f.path);
      if (h.fd < 0) {
        int const e = errno;
        r.add({f.path, 0,
               e == ENOENT ? "the file vanished between listing and reading"
                           : std::string("cannot be opened: ") + std::strerror(e)},
              f.size, o_.bad);
        continue;
      }
      ++r.files;
      if (f.jsonl)
        read_jsonl(f, h.fd, r, use);
      else if (o_.conversations)
        r.add({f.path, 0, "conversations are read from files that end in .jsonl, one in each line"}, f.size, o_.bad);
      else
        read_text(f, h.fd, r, files_.size() == 1 ? lone_tail : 0.0, use);
    }
  }

 private:
  void add(std::string const& path, std::string name, bool listed) {
    struct stat s {};
    if (::stat(path.c_str(), &s) != 0) throw error("cannot read " + path + ": " + std::strerror(errno));
    auto const extension = std::filesystem::path(path).extension().string();
    files_.push_back({path, std::move(name), std::int64_t(s.st_size),
                      std::int64_t(s.st_mtim.tv_sec) * 1'000'000'000 + s.st_mtim.tv_nsec,
                      extension == ".jsonl" || extension == ".ndjson", listed});
  }

  void list(std::string const& root) {
    namespace fs = std::filesystem;
    std::vector<std::pair<std::string, std::string>> found;  // name, path
    std::error_code ec;
    fs::recursive_directory_iterator it(root, fs::directory_options::skip_permission_denied, ec), end;
    if (ec) throw error("cannot list the directory " + root + ": " + ec.message());
    while (it != end) {
      auto const& path = it->path();
      std::error_code ignored;
      bool const hidden = path.filename().string().front() == '.';
      if (it->is_directory(ignored)) {
        if (hidden) it.disable_recursion_pending();
      } else {
        auto const name = path.lexically_relative(root).generic_string();
        auto const extension = path.extension().string();
        bool const wanted = !hidden && it->is_regular_file(ignored) &&
                            (o_.extensions.empty() ||
                             std::find(o_.extensions.begin(), o_.extensions.end(), extension) != o_.extensions.end()) &&
                            std::none_of(o_.exclude.begin(), o_.exclude.end(),
                                         [&](auto const& x) { return name.compare(0, x.size(), x) == 0; });
        if (wanted)
          found.emplace_back(name, path.string());
        else
          ++other_;
      }
      it.increment(ec);
      if (ec) throw error("cannot list the directory " + root + ": " + ec.message());
    }
    std::sort(found.begin(), found.end());
    for (auto& [name, path] : found) add(path, std::move(name), true);
  }

  static std::int64_t lines(std::string_view text) { return std::count(text.begin(), text.end(), '\n'); }

  // Adds up to `more` bytes to `to`; false at the end of the file.
  bool fill(input_file const& f, int fd, std::string& to, std::size_t more) const {
    std::size_t const before = to.size();
    to.resize(before + more);
    std::size_t got = 0;
    while (got < more) {
      ssize_t const n = ::read(fd, to.data() + before + got, more - got);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw error("cannot read " + f.path + ": " + std::strerror(errno));
      if (n == 0) break;
      got += std::size_t(n);
    }
    to.resize(before + got);
    return got == more;
  }

  template <class Use>
  void give(input_file const& f, std::string text, std::int64_t line, int side, report& r, Use& use) const {
    if (text.empty()) return void(++r.empty);
    if (auto const bad = first_invalid_utf8(text); bad != std::string_view::npos) {
      char byte[8];
      std::snprintf(byte, sizeof byte, "0x%02X", unsigned(std::uint8_t(text[bad])));
      r.add({f.path, line + lines(std::string_view(text).substr(0, bad)), std::string("not UTF-8 (byte ") + byte + ")"},
            std::int64_t(text.size()), o_.bad);
      return;
    }
    document d;
    d.text = std::move(text);
    d.side = side;
    use(std::move(d));
  }

  template <class Use>
  void read_text(input_file const& f, int fd, report& r, double lone_tail, Use& use) const {
    auto const limit = std::size_t(o_.max_document);
    std::string held;
    std::int64_t line = 1;
    bool more = true, skipping = false, whole = true;
    for (;;) {
      if (more && held.size() <= limit) {  // one byte over the listed size shows the end of the file at once
        std::size_t const target = held.empty() && whole ? std::min(std::size_t(f.size), limit) + 1 : limit + 1;
        more = fill(f, fd, held, target > held.size() ? target - held.size() : 1);
        if (whole && f.listed && std::string_view(held).substr(0, 4096).find('\0') != std::string_view::npos) {
          --r.files, ++r.other_files;
          return;
        }
        if (more && held.size() <= limit) continue;
      }
      if (skipping) {  // the rest of a line that is too long
        auto const stop = held.find('\n');
        std::size_t const gone = stop == std::string::npos ? held.size() : stop + 1;
        r.bad_bytes += std::int64_t(gone);
        held.erase(0, gone);
        if (stop == std::string::npos && more) continue;
        skipping = false, ++line;
        if (more) continue;
      }
      if (!more) break;
      auto const newline = held.rfind('\n', limit - 1);
      whole = false;
      if (newline == std::string::npos) {
        r.add({f.path, line, "a line longer than " + std::to_string(limit) + " bytes"}, 0, o_.bad);
        skipping = true;
        continue;
      }
      std::string part = held.substr(0, newline + 1);
      held.erase(0, newline + 1);
      auto const next = line + lines(part);
      ++r.cut;
      give(f, std::move(part), line, -1, r, use);
      line = next;
    }
    if (!whole) {
      if (held.empty()) return;
      ++r.cut;
      return give(f, std::move(held), line, -1, r, use);
    }
    if (lone_tail <= 0 || held.size() < 2) return give(f, std::move(held), line, -1, r, use);
    auto at = std::clamp<std::size_t>(std::size_t(double(held.size()) * (1 - lone_tail)), 1, held.size() - 1);
    if (auto const newline = held.rfind('\n', at - 1); newline != std::string::npos) at = newline + 1;
    while (at > 1 && (std::uint8_t(held[at]) & 0xC0) == 0x80) --at;
    r.cut += 2;
    give(f, held.substr(0, at), line, 0, r, use);
    give(f, held.substr(at), line + lines(std::string_view(held).substr(0, at)), 1, r, use);
  }

  template <class Use>
  void read_jsonl(input_file const& f, int fd, report& r, Use& use) const {
    auto const limit = std::size_t(o_.max_document);
    std::string held;
    std::size_t begin = 0;
    std::int64_t line = 1;
    bool skipping = false;
    auto one = [&](std::string_view text) {
      if (text.find_first_not_of(" \t\r") == std::string_view::npos) return void(++r.blank_lines);
      record(f, text, line, r, use);
    };
    for (bool more = true; more || begin < held.size();) {
      auto const newline = held.find('\n', begin);
      if (newline != std::string::npos) {
        auto const text = std::string_view(held).substr(begin, newline - begin);
        if (skipping)
          r.bad_bytes += std::int64_t(text.size());
        else if (text.size() > limit)
          too_long(f, line, text.size(), r);
        else
          one(text);
        skipping = false;
        begin = newline + 1, ++line;
        continue;
      }
      held.erase(0, begin), begin = 0;
      if (!more) {
        if (skipping)
          r.bad_bytes += std::int64_t(held.size());
        else if (held.size() > limit)
          too_long(f, line, held.size(), r);
        else if (!held.empty())
          one(held);
        break;
      }
      if (held.size() > limit || skipping) {
        if (!skipping)
          too_long(f, line, held.size(), r);
        else
          r.bad_bytes += std::int64_t(held.size());
        skipping = true;
        held.clear();
      }
      more = fill(f, fd, held, 1 << 20);
    }
  }

  void too_long(input_file const& f, std::int64_t line, std::size_t size, report& r) const {
    r.add({f.path, line, "a line longer than " + std::to_string(o_.max_document) + " bytes"}, std::int64_t(size),
          o_.bad);
  }

  template <class Use>
  void record(input_file const& f, std::string_view text, std::int64_t line, report& r, Use& use) const {
    auto bad = [&](std::string why) { r.add({f.path, line, std::move(why)}, std::int64_t(text.size()), o_.bad); };
    if (auto const at = first_invalid_utf8(text); at != std::string_view::npos)
      return bad("not UTF-8 (byte " + std::to_string(at) + " of the line)");
    document d;
    if (o_.conversations) {
      try {
        auto one = detail::read_conversation(text, o_.text_field, o_.difficulty_field, *o_.conversations);
        d.text = std::move(one.content.text), d.answers = std::move(one.content.answers);
        if (one.difficulty) d.difficulty = float(*one.difficulty);
      } catch (error const& e) {
        return bad(e.what());
      }
      return use(std::move(d));
    }
    detail::record_sax sax{
        .text_field = o_.text_field, .difficulty_field = o_.difficulty_field, .text = {}, .reason = {}};
    bool const fine = nlohmann::json::sax_parse(text.begin(), text.end(), &sax);
    if (!fine) return bad(sax.reason.empty() ? "malformed JSON" : sax.reason);
    if (!sax.has_text) return bad("the record has no field \"" + o_.text_field + "\"");
    if (!o_.difficulty_field.empty() && !sax.has_difficulty)
      return bad("the record has no field \"" + o_.difficulty_field + "\"");
    if (sax.text.empty()) return void(++r.empty);
    d.text = std::move(sax.text);
    if (sax.has_difficulty) d.difficulty = float(sax.difficulty);
    use(std::move(d));
  }

  source_options o_;
  std::vector<input_file> files_;
  std::int64_t other_ = 0;
};

}  // namespace tenon::data
