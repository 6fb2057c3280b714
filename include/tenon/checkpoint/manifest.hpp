#pragma once
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tenon/checkpoint/manifest_json.hpp"
#include "tenon/core/error.hpp"
#include "tenon/core/sha256.hpp"

namespace tenon::checkpoint {

/// The layout of manifest.json that this build writes and reads.
inline constexpr std::int64_t manifest_schema = 1;

/// Where the next sample comes from.
struct data_cursor {
  std::int64_t stage = 0, epoch = 0, sample = 0;
  bool operator==(data_cursor const&) const = default;
};

/// The recipe's three digests (design, promise 8), in hex.
struct recipe_digests {
  std::string identity, layout, numbers;
  bool operator==(recipe_digests const&) const = default;
};

/// One `--change PATH=VALUE` of a trajectory field, with the step from which it holds.
struct recorded_change {
  std::int64_t step = 0;
  std::string path, before, after;
  bool operator==(recorded_change const&) const = default;
};

/// State of the counter-based generator: seed and algorithm; the rest of its key is names and the step.
struct random_state {
  std::string algorithm = "philox4x32-10";
  std::uint64_t seed = 0;
  bool operator==(random_state const&) const = default;
};

/// Dynamic loss scaling: the scale and the steps since it last changed.
struct scaler_state {
  double scale = 1;
  std::int64_t good_steps = 0;
  bool operator==(scaler_state const&) const = default;
};

/// What a bit-equal resume depends on (design, promise 2).
struct machine_facts {
  std::string isa, blas;
  std::int64_t threads = 0, ranks = 0;
  std::string libtorch, compiler, binary;  ///< binary: SHA-256 of the program
  bool operator==(machine_facts const&) const = default;
};

/// A file of the checkpoint; `tensors` holds CRC-32C by tensor name for a safetensors file.
struct file_facts {
  std::uint64_t size = 0;
  std::string sha256;
  std::map<std::string, std::string> tensors;
  bool operator==(file_facts const&) const = default;
};

/// Everything a checkpoint says about itself beside its tensors. `files` is filled in by the transaction.
struct manifest {
  std::int64_t step = 0;             ///< optimizer steps done
  std::int64_t tokens_consumed = 0;  ///< tokens that the loss has seen
  data_cursor cursor;
  recipe_digests digests;
  std::vector<std::pair<std::string, std::string>> recipe_fields;  ///< canonical path and value, in the recipe's order
  nlohmann::json recipe = nlohmann::json::object();
  std::vector<recorded_change> changes;
  random_state random;
  std::optional<scaler_state> scaler;         ///< only where the precision scales its loss
  std::map<std::string, std::string> dtypes;  ///< by role: parameter, master, moment, ...
  machine_facts machine;
  std::string data_fingerprint, tokenizer_sha256;
  std::optional<std::int64_t> parent_step;  ///< the checkpoint that this run started from last
  std::string saved_at;                     ///< RFC 3339, UTC
  double seconds_trained = 0;               ///< wall time in the loop, over all starts of the run
  std::map<std::string, file_facts> files;

  bool operator==(manifest const&) const = default;
};

// One list of fields per type serves both directions: what is written is what is read.
template <class V>
void visit_fields(V& v, auto_ref<data_cursor, V> c) {
  v("stage", c.stage), v("epoch", c.epoch), v("sample", c.sample);
}
template <class V>
void visit_fields(V& v, auto_ref<recipe_digests, V> d) {
  v("identity", d.identity), v("layout", d.layout), v("numbers", d.numbers);
}
template <class V>
void visit_fields(V& v, auto_ref<recorded_change, V> c) {
  v("step", c.step), v("path", c.path), v("before", c.before), v("after", c.after);
}
template <class V>
void visit_fields(V& v, auto_ref<random_state, V> r) {
  v("algorithm", r.algorithm), v("seed", r.seed);
}
template <class V>
void visit_fields(V& v, auto_ref<scaler_state, V> s) {
  v("scale", s.scale), v("good_steps", s.good_steps);
}
template <class V>
void visit_fields(V& v, auto_ref<machine_facts, V> m) {
  v("isa", m.isa), v("blas", m.blas), v("threads", m.threads), v("ranks", m.ranks), v("libtorch", m.libtorch);
  v("compiler", m.compiler), v("binary", m.binary);
}
template <class V>
void visit_fields(V& v, auto_ref<file_facts, V> f) {
  v("size", f.size), v("sha256", f.sha256), v("tensors", f.tensors);
}
template <class V>
void visit_fields(V& v, auto_ref<manifest, V> m) {
  v("step", m.step), v("tokens_consumed", m.tokens_consumed), v("cursor", m.cursor), v("digests", m.digests);
  v("recipe_fields", m.recipe_fields), v("recipe", m.recipe), v("changes", m.changes), v("random", m.random);
  v("scaler", m.scaler), v("dtypes", m.dtypes), v("machine", m.machine), v("data_fingerprint", m.data_fingerprint);
  v("tokenizer_sha256", m.tokenizer_sha256), v("parent_step", m.parent_step), v("saved_at", m.saved_at);
  v("seconds_trained", m.seconds_trained), v("files", m.files);
}

/// The manifest as JSON, with its schema version. Throws tenon::error if a number is not finite.
inline nlohmann::json to_json(manifest const& m) {
  nlohmann::json out = detail::json_of(m, "manifest");
  out["schema"] = manifest_schema;
  return out;
}

/// The manifest back. Throws tenon::error naming the key that is missing, unknown or of the wrong kind, or the schema
/// if another version wrote it. `where` is the file to name.
inline manifest manifest_from_json(nlohmann::json body, std::string const& where) {
  if (!body.is_object() || !body.contains("schema"))
    throw error("'" + where + "' has no key 'schema'; it is not a manifest of tenon");
  if (body["schema"] != manifest_schema)
    throw error("'" + where + "' has schema " + body["schema"].dump() + " and this build reads " +
                std::to_string(manifest_schema) + "; resume with the version of tenon that wrote it");
  body.erase("schema");
  manifest result;
  detail::from_json(body, result, detail::json_place{where, ""});
  return result;
}

/// The text of manifest.json: the body, and the SHA-256 of the body's compact form.
inline std::string manifest_text(manifest const& m) {
  nlohmann::json const body = to_json(m);
  std::string const compact = detail::text_of(body, -1, "manifest");
  return detail::text_of({{"body", body}, {"sha256", sha256::hex_of(compact)}}, 1, "manifest") + "\n";
}

/// Reads the text of manifest.json. The text must be, byte for byte, what manifest_text would write for its content, so
/// that no damage to it goes unnoticed. Returns the checked body, or nothing if the text is damaged.
inline std::optional<nlohmann::json> checked_manifest_body(std::string const& text) {
  nlohmann::json file = nlohmann::json::parse(text, nullptr, false);
  if (!file.is_object() || file.size() != 2 || !file.contains("body") || !file.contains("sha256")) return std::nullopt;
  try {
    if (file.dump(1) + "\n" != text || file["sha256"] != sha256::hex_of(file["body"].dump())) return std::nullopt;
  } catch (nlohmann::json::exception const&) {
    return std::nullopt;
  }
  return std::move(file["body"]);
}

}  // namespace tenon::checkpoint
