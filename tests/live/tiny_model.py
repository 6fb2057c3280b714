"""tiny_model.py DIRECTORY TEXT: a tiny llama (the shape of app_test::tiny) with random weights and a tokenizer trained on TEXT, as
transformers saves them: config.json, generation_config.json, model.safetensors, tokenizer.json, tokenizer_config.json."""
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

BOS, EOS = "<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>"
SPLIT = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
directory, text = sys.argv[1:]

t = Tokenizer(models.BPE())
t.pre_tokenizer = pre_tokenizers.Sequence([
    pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
t.decoder = decoders.ByteLevel()
trainer = trainers.BpeTrainer(vocab_size=310, special_tokens=[BOS, EOS], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
with open(text, encoding="utf-8") as f:
    t.train_from_iterator([f.read()], trainer)
t.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, 0)])
PreTrainedTokenizerFast(tokenizer_object=t, bos_token=BOS, eos_token=EOS, model_max_length=64).save_pretrained(directory)

torch.manual_seed(11)
config = LlamaConfig(vocab_size=320, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=48,
                     max_position_embeddings=64, tie_word_embeddings=False, bos_token_id=0, eos_token_id=1)
LlamaForCausalLM(config).save_pretrained(directory)
