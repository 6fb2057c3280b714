"""tiny_model.py DIRECTORY TEXT [KIND]: a tiny model with random weights and a tokenizer trained on TEXT, as transformers saves them:
config.json, generation_config.json, model.safetensors, tokenizer.json, tokenizer_config.json. KIND: tiny (a llama of the
shape of app_test::tiny), llama, v2 or v3."""
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (DeepseekV2Config, DeepseekV2ForCausalLM, DeepseekV3Config, DeepseekV3ForCausalLM, LlamaConfig, LlamaForCausalLM,
                          PreTrainedTokenizerFast)

BOS, EOS = "<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>"
SPLIT = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
directory, text, kind = (sys.argv[1:] + ["tiny"])[:3]
positions = 64 if kind == "tiny" else 128

t = Tokenizer(models.BPE())
t.pre_tokenizer = pre_tokenizers.Sequence([
    pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
t.decoder = decoders.ByteLevel()
trainer = trainers.BpeTrainer(vocab_size=310, special_tokens=[BOS, EOS], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
with open(text, encoding="utf-8") as f:
    t.train_from_iterator([f.read()], trainer)
t.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, 0)])
PreTrainedTokenizerFast(tokenizer_object=t, bos_token=BOS, eos_token=EOS, model_max_length=positions).save_pretrained(directory)

torch.manual_seed(11)
common = dict(vocab_size=320, hidden_size=32, num_attention_heads=4, intermediate_size=48, tie_word_embeddings=False, bos_token_id=0, eos_token_id=1)
if kind in ("tiny", "llama"):
    LlamaForCausalLM(LlamaConfig(num_hidden_layers=2, num_key_value_heads=2, max_position_embeddings=positions, **common)).save_pretrained(directory)
    sys.exit()
latent = dict(num_hidden_layers=3, num_key_value_heads=4, q_lora_rank=24, kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=12,
              moe_intermediate_size=16, n_routed_experts=8, num_experts_per_tok=3, n_group=4, topk_group=2, first_k_dense_replace=1,
              n_shared_experts=1, max_position_embeddings=positions, rms_norm_eps=1e-5, attention_bias=False)
if kind == "v2":
    model = DeepseekV2ForCausalLM(DeepseekV2Config(**common, **latent, topk_method="group_limited_greedy", routed_scaling_factor=1.0))
else:
    yarn = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 32, "beta_fast": 32, "beta_slow": 1,
            "mscale": 1.0, "mscale_all_dim": 1.0}
    model = DeepseekV3ForCausalLM(DeepseekV3Config(**common, **latent, rope_parameters=yarn, routed_scaling_factor=2.5, norm_topk_prob=True))
    with torch.no_grad():
        for name, bias in model.named_buffers():
            if name.endswith("e_score_correction_bias"):
                bias.uniform_(-0.2, 0.3)
model.save_pretrained(directory)
