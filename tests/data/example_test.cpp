// The example of docs/data.md.
#include <vector>

#include "data/python.hpp"
#include "support/test.hpp"
#include "tenon/data.hpp"

namespace {
namespace tn = tenon;

TEST("the example of docs/data.md runs") {
  tenon_test::scratch directory;
  std::string text;
  for (int i = 0; i < 3000; ++i)
    text += "int f" + std::to_string(i) + "(int x) { return x + " + std::to_string(i % 7) + "; }\n";
  std::string const my_text = directory.file("my.txt", text), cache = (directory.path / "cache").string();
  double trigram_bits_per_byte = 0;

  // docs: begin
  tn::data::prepare_options options;
  options.source.paths = {my_text};
  options.cache = cache;
  options.bpe.vocabulary = 512;
  auto const [tokens, corpus, input, where, from_cache, notes] = tn::data::prepare(options);

  tn::data::loader loader(corpus, tn::data::split::train, /*sequence=*/128, /*seed=*/1, tokens.end_of_text());
  tn::data::held_out_set held_out(corpus, 128, tokens.end_of_text(), tokens.byte_lengths());
  tn::data::ngram_baseline baseline(tokens.size());
  tn::data::prefetcher ahead(loader, tn::data::cursor{}, /*samples=*/4);
  tn::data::micro_batch m;
  for (int step = 0; step < 50; ++step) {
    ahead.take(m);  // m.tokens, m.targets, m.positions, m.document_start: [m.samples][m.sequence]
    baseline.consume(m.tokens.data(), m.targets.data(), m.document_start.data(), m.samples, m.sequence);
  }
  std::vector<std::int32_t> t(128), targets(128), positions(128), start(128);
  double bits = 0;
  for (std::int64_t i = 0; i < held_out.samples(); ++i) {
    held_out.fill(i, 1, t.data(), targets.data(), positions.data(), start.data());
    bits += baseline.bits(t.data(), targets.data(), start.data(), 1, 128).trigram;
  }
  trigram_bits_per_byte = bits / double(held_out.bytes());
  // docs: end

  EXPECT(!from_cache);
  EXPECT(notes.empty());
  EXPECT_EQ(input.documents, 2);
  EXPECT(std::filesystem::exists(where));
  EXPECT(trigram_bits_per_byte > 0.1);
  EXPECT(trigram_bits_per_byte < 1.0);
}

}  // namespace
