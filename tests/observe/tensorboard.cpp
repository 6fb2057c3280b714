#include "tenon/observe/tensorboard.hpp"

#include <cmath>
#include <limits>

#include "observe/python.hpp"
#include "support/test.hpp"

using namespace tenon::observe;
using tenon_test::run_python;
using tenon_test::slurp;
using tenon_test::spill;
using tenon_test::temporary_directory;

namespace {

char const* const print_scalars = R"(
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
a = EventAccumulator(sys.argv[1], size_guidance={'scalars': 0, 'tensors': 0})
a.Reload()
for tag in sorted(a.Tags()['scalars']):
    print(tag, [(e.step, round(e.value, 6)) for e in a.Scalars(tag)])
for tag in sorted(a.Tags()['tensors']):
    if not tag.startswith('_hparams_'):
        print(tag, a.SummaryMetadata(tag).plugin_data.plugin_name, [(e.step, e.tensor_proto.string_val[0].decode()) for e in a.Tensors(tag)])
)";

step_record step(std::int64_t number) {
  step_record r;
  r.step = number;
  r.total_steps = 100;
  r.loss = 4.0 - 0.5 * static_cast<double>(number);
  r.learning_rate = 0.25;
  r.gradient_norm = 1.5;
  r.tokens_per_second = 1000;
  return r;
}

}  // namespace

TEST("TensorBoard's own reader gives back what was written") {
  temporary_directory const folder;
  {
    event_file events(folder.path);
    for (int i = 1; i <= 3; ++i) {
      auto r = step(i);
      if (i > 1) r.loss_scale = 65536.0;
      if (i > 2) r.balance_loss = 0.125, r.expert_load = 1.5, r.mtp_loss = 4.0;
      events.on_step(r);
    }
    events.on_evaluation({3, 50, 2.5, 1.25, 4.0, 2.0, 0.1});
    evaluation_record bare;
    bare.step = 1ll << 40;
    bare.loss = 2.25;
    events.on_evaluation(bare);
    events.on_text({3, "run/recipe", "| a | b |\n|---|---|\n\xC3\xA9\xFF", {}});
    events.on_text({3, "", "only for the console", {}});
    events.scalar("perf/data_wait_ms", 3, -1.5);
  }
  EXPECT_EQ(run_python(print_scalars, folder.path),
            "moe/balance_loss [(3, 0.125)]\n"
            "moe/load_max_over_mean [(3, 1.5)]\n"
            "perf/data_wait_ms [(3, -1.5)]\n"
            "train/grad_norm [(1, 1.5), (2, 1.5), (3, 1.5)]\n"
            "train/loss [(1, 3.5), (2, 3.0), (3, 2.5)]\n"
            "train/loss_scale [(2, 65536.0), (3, 65536.0)]\n"
            "train/lr [(1, 0.25), (2, 0.25), (3, 0.25)]\n"
            "train/mtp_loss [(3, 4.0)]\n"
            "train/tokens_per_sec [(1, 1000.0), (2, 1000.0), (3, 1000.0)]\n"
            "val/bits_per_byte [(3, 1.25)]\n"
            "val/loss [(3, 2.5), (1099511627776, 2.25)]\n"
            "val/trigram_bits_per_byte [(3, 2.0)]\n"
            "val/unigram_bits_per_byte [(3, 4.0)]\n"
            "run/recipe text [(3, '| a | b |\\n|---|---|\\n\xC3\xA9\xEF\xBF\xBD')]\n");
}

TEST("the hparams page finds recipe, metrics and outcome") {
  temporary_directory const folder;
  {
    event_file events(folder.path);
    events.hparams({{"schedule.peak", 0.5}, {"tied", true}, {"model", std::string("deepseek_llm")}}, {"val/loss"},
                   "run");
    events.on_evaluation({3, 50, 2.5, {}, {}, {}, 0.1});
    events.finish(true);
  }
  EXPECT_EQ(run_python(R"(
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
a = EventAccumulator(sys.argv[1]); a.Reload()
for tag in ['experiment', 'session_start_info', 'session_end_info']:
    m = a.SummaryMetadata('_hparams_/' + tag).plugin_data
    d = plugin_data_pb2.HParamsPluginData.FromString(m.content)
    print(m.plugin_name, d.version, d.WhichOneof('data'))
    if tag == 'experiment':
        print([(h.name, h.type) for h in d.experiment.hparam_infos], [i.name.tag for i in d.experiment.metric_infos])
    if tag == 'session_start_info':
        h = d.session_start_info.hparams
        print(h['schedule.peak'].number_value, h['tied'].bool_value, h['model'].string_value, d.session_start_info.group_name, d.session_start_info.start_time_secs > 1e9)
    if tag == 'session_end_info':
        print(d.session_end_info.status)
)",
                       folder.path),
            "hparams 0 experiment\n"
            "[('schedule.peak', 3), ('tied', 2), ('model', 1)] ['val/loss']\n"
            "hparams 0 session_start_info\n"
            "0.5 True deepseek_llm run True\n"
            "hparams 0 session_end_info\n"
            "1\n");
}

TEST("a resumed run's file replaces the steps that it does again") {
  temporary_directory const folder;
  std::string first, second;
  {
    event_file events(folder.path);
    first = events.path().filename().string();
    for (int i = 1; i <= 5; ++i) events.on_step(step(i));
  }
  {
    event_file events(folder.path, 4);
    second = events.path().filename().string();
    auto r = step(4);
    r.loss = 9;
    events.on_step(r);
  }
  EXPECT(first < second);
  EXPECT(first.rfind("events.out.tfevents.", 0) == 0);
  EXPECT(run_python(print_scalars, folder.path).find("train/loss [(1, 3.5), (2, 3.0), (3, 2.5), (4, 9.0)]\n") !=
         std::string::npos);
}

TEST("a record cut short by a crash costs that record only") {
  temporary_directory const folder;
  std::filesystem::path file;
  {
    event_file events(folder.path);
    file = events.path();
    for (int i = 1; i <= 3; ++i) events.on_step(step(i));
  }
  std::string const whole = slurp(file);
  for (std::size_t cut : {1, 5, 40}) {
    spill(file, whole.substr(0, whole.size() - cut));
    EXPECT(run_python(print_scalars, folder.path).find("train/loss [(1, 3.5), (2, 3.0)]\n") != std::string::npos);
  }
}

TEST("numbers that are not finite are passed on") {
  temporary_directory const folder;
  {
    event_file events(folder.path);
    auto r = step(1);
    r.gradient_norm = std::numeric_limits<double>::infinity();
    r.loss = std::nan("");
    events.on_step(r);
  }
  std::string const printed = run_python(print_scalars, folder.path);
  EXPECT(printed.find("train/grad_norm [(1, inf)]") != std::string::npos);
  EXPECT(printed.find("train/loss [(1, nan)]") != std::string::npos);
}

TEST("the bytes of an event are those of protobuf") {
  EXPECT_EQ(protobuf().integer(2, 300).text(3, "ab").single(2, 1.0f).bytes(), std::string("\x10\xAC\x02\x1A\x02"
                                                                                          "ab\x15\x00\x00\x80\x3F",
                                                                                          12));
  EXPECT_EQ(protobuf().integer(1, -1).bytes(), "\x08" + std::string(9, '\xFF') + "\x01");
}

TEST("an event file that cannot be made or written is a sentence") {
  temporary_directory const folder;
  spill(folder.path / "file", "");
  EXPECT_THROWS_WITH(event_file(folder.path / "file"), "could not open");
}
