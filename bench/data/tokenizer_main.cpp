// Trains a tokenizer and encodes texts with it, on one thread; tokenizer.py drives it beside other programs.
//   train TEXTS OUT VOCABULARY    a tokenizer.json, trained with the default split
//   encode TOKENIZER TEXTS IDS    encodes TEXTS, with an encoder that has seen nothing; writes the ids (int32) and prints the
//                                  seconds of CPU that it took
// TEXTS: documents one behind the other, each as 4 bytes of length (little-endian) and its bytes of UTF-8.
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/data/bpe_train.hpp"
#include "tenon/data/tokenizer_json.hpp"

namespace {

using namespace tenon::data;

std::vector<std::string_view> documents(std::string const& file) {
  std::vector<std::string_view> all;
  for (std::size_t at = 0; at + 4 <= file.size();) {
    std::uint32_t size;
    std::memcpy(&size, file.data() + at, 4);
    all.push_back(std::string_view(file).substr(at + 4, size));
    at += 4 + size;
  }
  return all;
}

std::string slurp(char const* name) {
  std::ifstream in(name, std::ios::binary);
  if (!in) throw tenon::error(std::string("cannot read ") + name);
  return {std::istreambuf_iterator<char>(in), {}};
}

int run(int argc, char** argv) {
  std::string_view const verb = argc == 5 ? argv[1] : "";
  if (verb == "train") {
    auto const file = slurp(argv[2]);
    bpe_options o;
    o.vocabulary = std::stoll(argv[4]);
    bpe_trainer t(o);
    t.add(documents(file), 2);
    save_tokenizer(t.train(), argv[3]);
    return 0;
  }
  if (verb == "encode") {
    auto const t = load_tokenizer(argv[2]);
    auto const file = slurp(argv[3]);
    auto const texts = documents(file);
    std::vector<std::int32_t> ids;
    ids.reserve(file.size());
    auto const begun = std::clock();
    encoder e(t);
    for (auto const text : texts) e.encode(text, ids);
    double const seconds = double(std::clock() - begun) / CLOCKS_PER_SEC;
    std::ofstream out(argv[4], std::ios::binary);
    out.write(reinterpret_cast<char const*>(ids.data()), std::streamsize(ids.size() * sizeof ids[0]));
    if (!out.flush()) throw tenon::error(std::string("cannot write ") + argv[4]);
    std::printf("%.9f\n", seconds);
    return 0;
  }
  std::fputs("bench_tokenizer train TEXTS OUT VOCABULARY | encode TOKENIZER TEXTS IDS\n", stderr);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (std::exception const& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 1;
  }
}
