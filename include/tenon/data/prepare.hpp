#pragma once
// From paths to a tokenizer and a token store, through a cache that is never trusted blindly.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/core/sha256.hpp"
#include "tenon/data/bpe_train.hpp"
#include "tenon/data/source.hpp"
#include "tenon/data/store.hpp"
#include "tenon/data/store_build.hpp"
#include "tenon/data/tokenizer.hpp"
#include "tenon/data/tokenizer_json.hpp"

namespace tenon::data {

/// Everything that `prepare` needs.
struct prepare_options {
  source_options source = {};
  std::filesystem::path cache = {};  ///< directory for tokenizers and token stores; made if absent
  std::string tokenizer_file = {};   ///< an existing tokenizer.json; empty: train one on the corpus
  std::string end_of_text = {};      ///< of that file; empty: the first known one
  bpe_options bpe = {};              ///< what to train otherwise
  std::int64_t sample_bytes =
      64 << 20;  ///< the tokenizer is trained on about so much text, chosen by hash of the documents
  store_options store = {};
  verify check = verify::all;  ///< of a store found in the cache
};

/// What `prepare` gives.
struct prepared {
  tokenizer tokens;
  store corpus;
  report input;                     ///< what became of the input when the store was built
  std::filesystem::path directory;  ///< of the store
  bool from_cache = false;
  std::vector<std::string> notes;  ///< sentences worth showing, such as a damaged cache that was rebuilt
};

namespace detail {

/// A text over everything in the input that decides the tokens, except the tokenizer.
inline std::string source_key(source const& in, double held_out) {
  sha256 h;
  auto number = [&](std::uint64_t x) { h.update(&x, sizeof x); };
  auto text = [&](std::string_view s) { number(s.size()), h.update(s); };
  text("tenon corpus 1");
  for (auto const& f : in.files()) {
    text(std::filesystem::absolute(f.path).lexically_normal().string()), text(f.name);
    number(std::uint64_t(f.size)), number(std::uint64_t(f.modified)), number(f.jsonl), number(f.listed);
  }
  auto const& o = in.options();
  text(o.text_field), text(o.difficulty_field);
  number(std::uint64_t(o.bad)), number(std::uint64_t(o.max_document));
  number(std::uint64_t(held_out * 0x1p53));
  if (o.conversations) text("conversations"), text(o.conversations->fingerprint());
  return h.hex();
}

inline nlohmann::ordered_json to_json(report const& r) {
  nlohmann::ordered_json issues = nlohmann::ordered_json::array();
  for (auto const& i : r.issues) issues.push_back({{"file", i.file}, {"line", i.line}, {"reason", i.reason}});
  return {{"files", r.files},
          {"documents", r.documents},
          {"bytes", r.bytes},
          {"tokens", r.tokens},
          {"held_out", r.held_out},
          {"held_out_bytes", r.held_out_bytes},
          {"held_out_tokens", r.held_out_tokens},
          {"duplicates", r.duplicates},
          {"cut", r.cut},
          {"empty", r.empty},
          {"blank_lines", r.blank_lines},
          {"other_files", r.other_files},
          {"bad", r.bad},
          {"bad_bytes", r.bad_bytes},
          {"issues", issues}};
}

inline report report_from_json(nlohmann::json const& j) {
  report r;
  auto get = [&](char const* k, std::int64_t& v) { v = j.at(k).get<std::int64_t>(); };
  get("files", r.files), get("documents", r.documents), get("bytes", r.bytes), get("tokens", r.tokens),
      get("held_out", r.held_out);
  get("held_out_bytes", r.held_out_bytes), get("held_out_tokens", r.held_out_tokens), get("duplicates", r.duplicates),
      get("cut", r.cut);
  get("empty", r.empty), get("blank_lines", r.blank_lines), get("other_files", r.other_files), get("bad", r.bad),
      get("bad_bytes", r.bad_bytes);
  for (auto const& i : j.at("issues")) r.issues.push_back({i.at("file"), i.at("line"), i.at("reason")});
  return r;
}

/// A path beside `target` that no other process uses, and that names this process so that leftovers can be told.
inline std::filesystem::path building_path(std::filesystem::path const& target) {
  return target.parent_path() / (".building-" + std::to_string(::getpid()) + "-" + target.filename().string());
}

/// Removes what processes that are gone left half made.
inline void remove_leftovers(std::filesystem::path const& cache) {
  std::error_code ignored;
  for (auto const& e : std::filesystem::directory_iterator(cache, ignored)) {
    auto const name = e.path().filename().string();
    if (name.rfind(".building-", 0) != 0) continue;
    long const pid = std::strtol(name.c_str() + 10, nullptr, 10);
    if (pid > 0 && ::kill(pid_t(pid), 0) != 0 && errno == ESRCH) std::filesystem::remove_all(e.path(), ignored);
  }
}

inline void write_durably(std::filesystem::path const& target, std::string_view text) {
  auto const temporary = building_path(target);
  int const fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  bool fine = fd >= 0;
  for (std::size_t at = 0; fine && at < text.size();) {
    ssize_t const n = ::write(fd, text.data() + at, text.size() - at);
    fine = n > 0 || (n < 0 && errno == EINTR);
    if (n > 0) at += std::size_t(n);
  }
  fine = fine && ::fsync(fd) == 0;
  int const why = errno;
  if (fd >= 0) ::close(fd);
  if (!fine || ::rename(temporary.c_str(), target.c_str()) != 0) {
    std::string const reason = std::strerror(fine ? errno : why);
    ::unlink(temporary.c_str());
    throw error("cannot write " + target.string() + ": " + reason);
  }
  sync_directory(target.parent_path());
}

/// Trains on the training sides of `all`, or on a sample of them of about o.sample_bytes.
inline tokenizer train_tokenizer(std::vector<source> const& all, prepare_options const& o, watcher const& w) {
  bpe_trainer trainer(o.bpe);
  std::int64_t bytes = 0;
  for (auto const& in : all) bytes += in.bytes();
  double const part = bytes <= o.sample_bytes ? 1.0 : double(o.sample_bytes) / double(bytes);
  watched reading(w, "reading text for the tokenizer", bytes);
  std::vector<std::string> held;
  std::int64_t held_bytes = 0, seen = 0;
  auto flush = [&] {
    trainer.add({held.begin(), held.end()}, o.store.threads);
    held.clear(), held_bytes = 0;
  };
  auto const take = [&](document&& d) {
    seen += std::int64_t(d.text.size());
    reading.at(seen);
    sha256 h;
    h.update(d.text);
    auto const hash = leading(h.digest());
    if (d.side == 1 || (d.side < 0 && hash_holds_out(hash, o.store.held_out))) return;
    if (part < 1 && !hash_holds_out(mix(hash), part)) return;
    held_bytes += std::int64_t(d.text.size());
    held.push_back(std::move(d.text));
    if (held_bytes >= o.store.batch_bytes) flush();
  };
  for (auto const& in : all) {
    report r;
    in.read(r, o.store.held_out, take);
  }
  flush();
  watched training(w, "training the tokenizer", o.bpe.vocabulary);
  return trainer.train([&](std::int64_t done, std::int64_t) { training.at(done); });
}

/// The tokenizer of o.tokenizer_file, or one trained on `all`, from the cache where it is there.
inline tokenizer prepare_tokenizer(std::vector<source> const& all, prepare_options const& o, watcher const& w,
                                   std::vector<std::string>& notes) {
  if (!o.tokenizer_file.empty()) return load_tokenizer(o.tokenizer_file, o.end_of_text);
  std::string keys;
  for (auto const& in : all) keys += source_key(in, o.store.held_out) + "\n";
  sha256 h;
  h.update(keys + std::to_string(o.sample_bytes) + "\n" + std::to_string(o.bpe.vocabulary) + "\n" +
           std::to_string(o.bpe.min_count) + "\n" + std::to_string(o.bpe.max_piece) + "\n" + o.bpe.split + "\n" +
           o.bpe.end_of_text);
  auto const path = o.cache / ("tokenizer-" + h.hex().substr(0, 32) + ".json");
  if (std::filesystem::exists(path)) {
    try {
      return load_tokenizer(path, o.bpe.end_of_text);
    } catch (error const& e) {
      notes.push_back("the cached tokenizer is damaged and was trained again: " + std::string(e.what()));
    }
  }
  auto t = train_tokenizer(all, o, w);
  write_durably(path, to_json(t));
  return t;
}

/// The store of one input, from the cache where it is there and whole.
inline prepared prepare_store(source const& in, tokenizer const& t, prepare_options const& o, watcher const& w,
                              std::vector<std::string> notes) {
  namespace fs = std::filesystem;
  std::error_code ec;
  auto const key =
      sha256::hex_of(source_key(in, o.store.held_out) + t.fingerprint() + std::to_string(o.store.shard_tokens));
  auto const directory = o.cache / ("tokens-" + key.substr(0, 32));
  auto open = [&](bool from_cache) {
    std::ifstream manifest(directory / "manifest.json");
    auto const j = nlohmann::json::parse(manifest);
    if (j.at("key") != key) throw error((directory / "manifest.json").string() + " names another key");
    return prepared{t, store(directory, o.check), report_from_json(j.at("report")), directory, from_cache, notes};
  };
  bool damaged = false;
  if (fs::exists(directory)) {
    try {
      return open(true);
    } catch (std::exception const& e) {
      damaged = true;
      notes.push_back("the cached tokens are damaged and were made again: " + std::string(e.what()));
    }
  }
  auto const temporary = building_path(directory);
  fs::remove_all(temporary, ec);
  try {
    auto const r = build_store(in, t, temporary, o.store, w);
    nlohmann::ordered_json const manifest = {{"key", key}, {"tokenizer", t.fingerprint()}, {"report", to_json(r)}};
    write_durably(temporary / "manifest.json",
                  manifest.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
    if (damaged) {
      auto const away = building_path(o.cache / ("damaged-" + key.substr(0, 32)));
      fs::rename(directory, away, ec);
      fs::remove_all(away, ec);
    }
    if (::rename(temporary.c_str(), directory.c_str()) != 0 && errno != ENOTEMPTY && errno != EEXIST) {
      throw error("cannot put " + directory.string() + " in its place: " + std::strerror(errno));
    }
  } catch (...) {
    fs::remove_all(temporary, ec);
    throw;
  }
  fs::remove_all(temporary, ec);  // still there only if another process was first
  sync_directory(o.cache);
  return open(false);
}

}  // namespace detail

/// Gives one tokenizer over all of `sources` and a store for each, in their order: from the cache if it holds them for
/// exactly these files (paths, sizes, times), options and tokenizer, and they are whole; else made anew and put there
/// in one rename, so that a killed run leaves no half store. A damaged store is rebuilt and noted. Safe for several
/// processes on one cache. o.source is not read. Errors: those of source, tokenizer and build_store; a cache that
/// cannot be written; `interrupted`.
inline std::vector<prepared> prepare_each(std::vector<source_options> const& sources, prepare_options const& o,
                                          watcher const& w = {}) {
  std::error_code ec;
  std::filesystem::create_directories(o.cache, ec);
  if (ec || o.cache.empty())
    throw error("cannot make the cache directory " + o.cache.string() + ": " + ec.message() + "; give another one");
  detail::remove_leftovers(o.cache);
  std::vector<source> const all(sources.begin(), sources.end());
  std::vector<std::string> notes;
  auto const t = detail::prepare_tokenizer(all, o, w, notes);
  std::vector<prepared> made;
  for (auto const& in : all) made.push_back(detail::prepare_store(in, t, o, w, std::exchange(notes, {})));
  return made;
}

/// The same for the one input o.source.
inline prepared prepare(prepare_options const& o, watcher const& w = {}) {
  return std::move(prepare_each({o.source}, o, w).front());
}

}  // namespace tenon::data
