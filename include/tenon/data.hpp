#pragma once
/// Text to micro-batches: sources, byte-level BPE, token store, loader, baselines. Needs PCRE2 and nlohmann-json; no
/// torch.
#include "tenon/data/baseline.hpp"
#include "tenon/data/bpe_train.hpp"
#include "tenon/data/cursor.hpp"
#include "tenon/data/evaluation.hpp"
#include "tenon/data/loader.hpp"
#include "tenon/data/prefetcher.hpp"
#include "tenon/data/prepare.hpp"
#include "tenon/data/report.hpp"
#include "tenon/data/source.hpp"
#include "tenon/data/splitter.hpp"
#include "tenon/data/store.hpp"
#include "tenon/data/store_build.hpp"
#include "tenon/data/tokenizer.hpp"
#include "tenon/data/tokenizer_json.hpp"
#include "tenon/data/utf8.hpp"
