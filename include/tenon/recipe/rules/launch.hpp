#pragma once
#include <array>

#include "tenon/recipe/model.hpp"
#include "tenon/recipe/parallel.hpp"
#include "tenon/recipe/precision.hpp"
#include "tenon/recipe/rules/rule.hpp"
#include "tenon/recipe/target.hpp"

/// What the plan and the launch ask, with the same form and sentences as the compiler's rules. `seen` takes `known`,
/// too.
namespace tenon::rules {

/// Whether a run of this many bytes may start where `memory` is there: 90 % of it, the rest is the program's own.
constexpr bool fits_into(bytes needed, bytes memory) { return needed.count <= memory.count / 10 * 9; }

struct plan_static_layers : rule<layer::plan, axis::model> {
#define TENON_TEXT                                                                                          \
  "[tenon.plan_static_layers] the model runs under LibTorch's autograd, whose memory is found out by "      \
  "running it, not planned. Use a model of static layers such as model::deepseek_llm, or leave plan<> and " \
  "fits<> out"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool holds(R const&, known = {}) {
    return !is_foreign_module<model_of<R>>;
  }
  template <class R>
  static constexpr auto seen(R const& r, known) {
    return std::array{finding{"model", r.model.kind}};
  }
};

/// The values: MiB needed, MiB of the target.
struct plan_fits : rule<layer::plan, axis::target> {
#define TENON_TEXT                                                                                        \
  "[tenon.plan_fits] the plan of the run needs more than 90 percent of the target's memory, so it would " \
  "end in the first step. Lower batch.micro, write memory::recompute{} or a 16-bit precision, or choose " \
  "a larger target"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool holds(R const& r, known k = {}) {
    return k.needed.count == 0 || fits_into(k.needed, r.target.facts().memory);
  }
  template <class R>
  static constexpr auto seen(R const& r, known k) {
    return std::array{finding{"MiB needed", k.needed.count >> 20},
                      finding{"MiB of the target", r.target.facts().memory.count >> 20}};
  }
};

struct ranks_started : rule<layer::launch, axis::parallel> {
#define TENON_TEXT                                                                                             \
  "[tenon.ranks_started] the launcher has started another number of processes than the recipe has ranks, so " \
  "they would wait for each other. Start as many as the recipe says, or say --ranks with the number that it "  \
  "starts; parallel::single{} is one process"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  static constexpr std::string_view example =
      "- torchrun --nproc-per-node 2 build/train --run r        # parallel::ddp{.ranks = 4}\n"
      "+ torchrun --nproc-per-node 4 build/train --run r\n";
  template <class R>
  static constexpr bool holds(R const& r, known k = {}) {
    return k.started == 0 || k.started == parallel::replicas_of(r.parallel).ranks;
  }
  template <class R>
  static constexpr auto seen(R const& r, known k) {
    return std::array{finding{"ranks", parallel::replicas_of(r.parallel).ranks}, finding{"processes", k.started},
                      finding{"launcher", k.launcher}};
  }
};

struct layers_on_gpu : rule<layer::launch, axis::model, axis::target> {
#define TENON_TEXT                                                                                         \
  "[tenon.layers_on_gpu] the recipe's target is a GPU, and only the layers of model::deepseek_llm have "   \
  "kernels there yet. Write target::native{} to train this model on the CPU, or ask --plan what it would " \
  "need on the GPU"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  static constexpr std::string_view example =
      "- ./tenon train my.hpp                  # tenon::model::deepseek_v3{...}, tenon::target::h200{}\n"
      "+ ./tenon train my.hpp                  # tenon::model::deepseek_v3{...}, tenon::target::native{}\n"
      "+ ./tenon plan my.hpp                   # what it would need on the H200\n";
  template <class R>
  static constexpr bool holds(R const& r, known k = {}) {
    return !k.launched || r.target.facts().device == device_kind::cpu || is_dense_decoder<model_of<R>>;
  }
  template <class R>
  static constexpr auto seen(R const& r, known) {
    return std::array{finding{"model", r.model.kind}, finding{"target", r.target.kind}};
  }
};

struct target_present : rule<layer::launch, axis::model, axis::target> {
#define TENON_TEXT                                                                                \
  "[tenon.target_present] the recipe's target is a GPU, and this program runs on the CPU. Write " \
  "target::native{} to run here, or ask --plan what it would need there"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  static constexpr std::string_view example =
      "- ./tenon train my.hpp                  # tenon::target::h200{}, on a machine without a GPU\n"
      "+ ./tenon train my.hpp                  # tenon::target::native{}\n"
      "+ ./tenon plan my.hpp                   # what it would need on the H200\n";
  template <class R>
  static constexpr bool holds(R const& r, known k = {}) {
    if (!layers_on_gpu::holds(r, k)) return true;  // that one says more
    return !k.launched || r.target.facts().device == device_kind::cpu || k.gpus >= 0;
  }
  template <class R>
  static constexpr auto seen(R const& r, known) {
    return std::array{finding{"target", r.target.kind}};
  }
};

struct gpu_present : rule<layer::launch, axis::target> {
#define TENON_TEXT                                                                                       \
  "[tenon.gpu_present] the recipe's target is a GPU, and this process finds fewer of them than it has "  \
  "ranks on this machine: each rank takes one. Look at nvidia-smi and CUDA_VISIBLE_DEVICES, write "      \
  "target::native{} to run on the CPU, or ask --plan what it would need there"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  static constexpr std::string_view example =
      "- CUDA_VISIBLE_DEVICES= ./tenon train my.hpp      # tenon::target::h200{}\n"
      "+ CUDA_VISIBLE_DEVICES=0 ./tenon train my.hpp\n";
  template <class R>
  static constexpr bool holds(R const& r, known k = {}) {
    return !k.launched || r.target.facts().device == device_kind::cpu || k.gpus < 0 || k.local_rank < k.gpus;
  }
  template <class R>
  static constexpr auto seen(R const& r, known k) {
    return std::array{finding{"target", r.target.kind}, finding{"GPUs found", k.gpus}};
  }
};

/// Compute capability 8.0 (Ampere) is the first with bf16 and TF32, 7.0 (Volta) the first whose tensor cores take fp16 and add in
/// fp32 (CUDA C++ Programming Guide, compute capabilities).
struct gpu_computes : rule<layer::launch, axis::target, axis::precision, axis::optimizer> {
#define TENON_TEXT                                                                                        \
  "[tenon.gpu_computes] the GPU that was found does not compute in the recipe's precision itself: bf16 and " \
  "TF32 need compute capability 8.0, fp16 and fp32 7.0. Write precision::fp16{} or fp32{}, or choose "       \
  "another GPU with CUDA_VISIBLE_DEVICES"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  static constexpr std::string_view example =
      "- ./tenon train my.hpp                  # tenon::precision::bf16{}, on a V100\n"
      "+ ./tenon train my.hpp                  # tenon::precision::fp16{}\n";
  template <class R>
  static constexpr bool holds(R const& r, known k = {}) {
    auto const product = dtypes_of(r).product();
    return k.gpu_capability == 0 || k.gpu_capability >= (product == dtype::bf16 || product == dtype::tf32 ? 80 : 70);
  }
  template <class R>
  static constexpr auto seen(R const& r, known k) {
    return std::array{finding{"precision", resolved_precision_t<R>::kind}, finding{"products", name_of(dtypes_of(r).product())},
                      finding{"capability, times 10", k.gpu_capability}};
  }
};

struct memory_present : rule<layer::launch> {
#define TENON_TEXT                                                                                   \
  "[tenon.memory_present] the plan of the run needs more than 90 percent of this machine's memory, " \
  "whatever the target says. Lower batch.micro, write memory::recompute{}, or start it on a larger " \
  "machine"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  static constexpr std::string_view example =
      "- tenon::batch{.global = 64_samples, .micro = 64_samples}, tenon::target::cpu{.memory = 64_GiB}     # a laptop of 16 GiB\n"
      "+ tenon::batch{.global = 64_samples, .micro = 8_samples}, tenon::target::cpu{.memory = 64_GiB}\n";
  template <class R>
  static constexpr bool holds(R const&, known k = {}) {
    return k.present.count == 0 || fits_into(k.needed, k.present);
  }
  template <class R>
  static constexpr auto seen(R const&, known k) {
    return std::array{finding{"MiB needed", k.needed.count >> 20}, finding{"MiB present", k.present.count >> 20}};
  }
};

struct files_present : rule<layer::launch> {
#define TENON_TEXT                                                                                   \
  "[tenon.files_present] a path that the run was given does not exist, so it would stop before its " \
  "first step. Correct --data, --init or --data.tokenizer"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  static constexpr std::string_view example =
      "- ./tenon train my.hpp --data corpsu/\n"
      "+ ./tenon train my.hpp --data corpus/\n";
  template <class R>
  static constexpr bool holds(R const&, known k = {}) {
    return k.missing.empty();
  }
  template <class R>
  static constexpr auto seen(R const&, known k) {
    return std::array{finding{"path", k.missing}};
  }
};

struct chat_template_present : rule<layer::launch, axis::objective> {
#define TENON_TEXT                                                                                         \
  "[tenon.chat_template_present] objective::sft writes conversations in the chat template that comes with " \
  "the tokenizer, and this directory has none. Begin with a chat model, such as --init DIR with its "       \
  "chat_template.jinja, or put that file there"
  static constexpr std::string_view sentence = TENON_TEXT;
  static constexpr std::string_view example =
      "- ./tenon train chat.hpp --data chats.jsonl\n"
      "+ ./tenon train chat.hpp --data chats.jsonl --init DIR\n";
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool holds(R const&, known k = {}) {
    return k.templateless.empty();
  }
  template <class R>
  static constexpr auto seen(R const&, known k) {
    return std::array{finding{"directory", k.templateless}};
  }
};

struct base_given : rule<layer::launch, axis::trainable> {
#define TENON_TEXT                                                                                            \
  "[tenon.base_given] the recipe leaves weights as they are (trainable::lora or frozen), and no model was " \
  "named that has them. Begin with one, such as --init DIR, or write trainable::all{}"
  static constexpr std::string_view sentence = TENON_TEXT;
  static constexpr std::string_view example =
      "- ./tenon train light.hpp --data chats.jsonl\n"
      "+ ./tenon train light.hpp --data chats.jsonl --init DIR\n";
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool holds(R const&, known k = {}) {
    return !k.without_base;
  }
  template <class R>
  static constexpr auto seen(R const& r, known) {
    return std::array{finding{"trainable", r.trainable.kind}};
  }
};

/// Asked by plan<R> and fits<R>.
using plan_rules = list<plan_static_layers, plan_fits>;
/// Asked by a launch.
using launch_rules = list<ranks_started, layers_on_gpu, target_present, gpu_present, gpu_computes, plan_fits, memory_present, files_present,
                          base_given, chat_template_present>;

}  // namespace tenon::rules
