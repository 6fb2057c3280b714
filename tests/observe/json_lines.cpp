#include "tenon/observe/json_lines.hpp"

#include <cmath>
#include <limits>

#include "observe/python.hpp"
#include "support/test.hpp"

using namespace tenon::observe;
using tenon_test::run_python;
using tenon_test::slurp;
using tenon_test::spill;
using tenon_test::temporary_directory;

TEST("each line is an ECS object that another JSON reader takes") {
  temporary_directory const folder;
  auto const file = folder.path / "new" / "log.jsonl";
  json_lines log(file, "run \"A\"");
  step_record r;
  r.step = 7;
  r.total_steps = 10;
  r.tokens = 1ll << 53;
  r.loss = 0.1;
  r.learning_rate = 3e-4;
  r.gradient_norm = std::numeric_limits<double>::infinity();
  r.tokens_per_second = std::nan("");
  r.loss_scale = 65536;
  r.balance_loss = 0.125, r.expert_load = 1.5, r.mtp_loss = 4;
  r.skipped = true;
  log.on_step(r);
  log.on_evaluation({7, 99, 2.5, 1.25, 4.0, {}, 0.5});
  log.on_text({7, "sample", "line\n\"quoted\" \x1b[31m \xC3\xA9 \xFF \\", text_record::severity::warning});
  EXPECT_EQ(
      run_python(R"(
import json, re, sys
def no_constant(c): raise ValueError(c)
lines = open(sys.argv[1], 'rb').read().split(b'\n')
assert lines.pop() == b''
for i, line in enumerate(lines):
    o = json.loads(line.decode(), parse_constant=no_constant)
    assert list(o)[:4] == ['@timestamp', 'log.level', 'message', 'ecs.version'], list(o)
    assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z', o['@timestamp'])
    assert o['event']['sequence'] == i + 1 and o['process']['pid'] > 0 and o['service'] == {'name': 'tenon', 'node': {'name': 'run "A"'}}
    print(o['log.level'], ascii(o['message']), o['event']['kind'], o['event']['action'], o['event'].get('duration'), ascii(o['tenon']))
)",
                 file),
      "info 'step 7 skipped: gradient overflow' metric step None {'step': 7, 'total_steps': 10, 'tokens': "
      "9007199254740992, "
      "'epoch': 0, 'stage': 0, 'loss': 0.1, 'lr': 0.0003, 'grad_norm': 'Infinity', 'loss_scale': 65536, 'balance_loss': "
      "0.125, 'expert_load': 1.5, 'mtp_loss': 4, 'skipped': "
      "True, "
      "'tokens_per_sec': 'NaN'}\n"
      "info 'evaluation at step 7 loss 2.5' metric evaluation 500000000 {'step': 7, 'val_tokens': 99, 'val_loss': 2.5, "
      "'val_bits_per_byte': 1.25, 'val_unigram_bits_per_byte': 4}\n"
      "warn 'line\\n\"quoted\" \\x1b[31m \\xe9 \\ufffd \\\\' event text None {'step': 7, 'tag': 'sample'}\n");
}

TEST("a line is in the file as soon as it is logged, and a resumed run goes on below") {
  temporary_directory const folder;
  auto const file = folder.path / "log.jsonl";
  {
    json_lines log(file);
    log.on_text({1, "", "one", {}});
    EXPECT(slurp(file).find("\"one\"") != std::string::npos);
  }
  std::string const before = slurp(file);
  spill(file, before + "{\"@timestamp\":\"20");  // killed in the middle of a line
  json_lines log(file);
  log.on_text({2, "", "two", {}});
  std::string const after = slurp(file);
  EXPECT(after.substr(0, before.size()) == before);
  EXPECT(after.substr(before.size()).rfind("{\"@timestamp\":\"20", 0) == 0);
  EXPECT(std::count(after.begin(), after.end(), '\n') == 2);
}

TEST("a log that cannot be opened or written is a sentence that names it") {
  temporary_directory const folder;
  EXPECT_THROWS_WITH(json_lines(folder.path), folder.path.string());
  EXPECT_THROWS_WITH(json_lines("/dev/full").on_text({1, "", "x", {}}),
                     "could not write to '/dev/full': No space left");
}
