#pragma once
// System calls that fail, fall short or end the process at the N-th call.
#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include "tenon/checkpoint/io.hpp"
#include "tenon/checkpoint/transaction.hpp"

namespace tenon_test {

enum class fault { none, error, short_write, lost_write, interrupt, death };

struct faulty_io {
  using real = tenon::checkpoint::posix_io;
  static inline fault kind = fault::none;
  static inline int code = 0;        // errno of an error
  static inline int at = 0;          // the call that suffers, from 1
  static inline int calls = 0;       // calls so far
  static inline std::string struck;  // name of the call that suffered

  static void arm(fault what, int number, int error = 0) {
    kind = what, at = number, code = error, calls = 0;
    struck.clear();
  }

  static int open(char const* file, int flags, mode_t mode) {
    return meets("open") ? -1 : real::open(file, flags, mode);
  }
  static ssize_t write(int descriptor, void const* data, std::size_t size) {
    if (kind == fault::death && calls + 1 == at) (void)!::write(descriptor, data, size / 2);
    if (kind == fault::lost_write && calls + 1 == at) {  // the system takes the bytes and they go nowhere
      (void)meets("write");
      return static_cast<ssize_t>(size);
    }
    if (kind == fault::short_write && calls + 1 == at) {
      (void)meets("write");
      return real::write(descriptor, data, size > 1 ? size / 2 : size);
    }
    return meets("write") ? -1 : real::write(descriptor, data, size);
  }
  static ssize_t read(int descriptor, void* data, std::size_t size) {
    if (kind == fault::short_write && calls + 1 == at) {
      (void)meets("read");
      return real::read(descriptor, data, 3);
    }
    return meets("read") ? -1 : real::read(descriptor, data, size);
  }
  static int fsync(int descriptor) { return meets("fsync") ? -1 : real::fsync(descriptor); }
  static int close(int descriptor) {
    int const result = real::close(descriptor);
    return meets("close") ? -1 : result;
  }
  static int rename(char const* from, char const* to) { return meets("rename") ? -1 : real::rename(from, to); }
  static int mkdir(char const* directory, mode_t mode) { return meets("mkdir") ? -1 : real::mkdir(directory, mode); }
  static int unlink(char const* file) { return meets("unlink") ? -1 : real::unlink(file); }
  static int rmdir(char const* directory) { return meets("rmdir") ? -1 : real::rmdir(directory); }
  static int symlink(char const* target, char const* link) {
    return meets("symlink") ? -1 : real::symlink(target, link);
  }

 private:
  static bool meets(std::string const& name) {
    if (++calls != at || kind == fault::none) return false;
    struck = name;
    if (kind == fault::death) ::_exit(9);
    if (kind == fault::short_write || kind == fault::lost_write) return false;
    if (kind == fault::interrupt) {
      if (name != "read" && name != "write" && name != "close") return false;
      errno = EINTR;
      return true;
    }
    errno = code;
    return true;
  }
};

/// A small checkpoint whose every byte follows from `step` and `version`.
struct sample_state {
  std::int64_t step;
  int version = 0;
  std::vector<float> embedding, norm;
  std::vector<double> moment;

  explicit sample_state(std::int64_t step, int version = 0)
      : step(step), version(version), embedding(3000), norm(16), moment(700) {
    for (std::size_t i = 0; i < embedding.size(); ++i) embedding[i] = value(i);
    for (std::size_t i = 0; i < norm.size(); ++i) norm[i] = value(i) + 1;
    for (std::size_t i = 0; i < moment.size(); ++i) moment[i] = value(i) / 3;
  }

  tenon::checkpoint::manifest facts() const {
    tenon::checkpoint::manifest m;
    m.step = step;
    m.tokens_consumed = step * 4096;
    m.cursor = {1, 2, step * 8};
    m.saved_at = "version " + std::to_string(version);
    return m;
  }

  template <class Io>
  tenon::checkpoint::commit_result save(tenon::checkpoint::path const& run) const {
    using tenon::checkpoint::dtype;
    tenon::checkpoint::transaction<Io> transaction(run, step);
    transaction.add_tensors("model.safetensors", {{"embedding", dtype::F32, {30, 100}, embedding.data()},
                                                  {"norm", dtype::F32, {16}, norm.data()}});
    transaction.add_tensors("optimizer.safetensors", {{"moment", dtype::F64, {700}, moment.data()}});
    transaction.add_bytes("tokenizer.json", "{\"version\":" + std::to_string(version) + "}");
    return transaction.commit(facts());
  }

  /// Whether the stored checkpoint is this one, whole.
  bool is(tenon::checkpoint::stored_checkpoint const& stored) const {
    tenon::checkpoint::manifest expected = facts();
    expected.files = stored.contents.files;
    tenon::checkpoint::safetensors_file const model(stored.directory / "model.safetensors");
    tenon::checkpoint::safetensors_file const optimizer(stored.directory / "optimizer.safetensors");
    return stored.contents == expected && same(model.at("embedding"), embedding) && same(model.at("norm"), norm) &&
           same(optimizer.at("moment"), moment) && stored.contents.files.size() == 3;
  }

 private:
  float value(std::size_t i) const {
    return static_cast<float>(step) * 1000 + static_cast<float>(version) * 100 + static_cast<float>(i) / 64;
  }
  template <class T>
  static bool same(tenon::checkpoint::stored_tensor const& stored, std::vector<T> const& values) {
    return stored.bytes.size() == values.size() * sizeof(T) &&
           std::memcmp(stored.bytes.data(), values.data(), stored.bytes.size()) == 0;
  }
};

}  // namespace tenon_test
