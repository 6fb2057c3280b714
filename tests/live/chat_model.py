"""chat_model.py DIRECTORY CHATS: a tiny llama with random weights, a tokenizer and a chat template, as transformers saves them, and a
file of 100 conversations."""
import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

directory, chats = sys.argv[1:]
SPLIT = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TEMPLATE = """{% for m in messages %}{% if m.role == 'assistant' %}<|im_start|>assistant
{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}

{% else %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

things = ["apple", "brick", "cloud", "daisy", "eagle", "flame", "grape", "horse", "igloo", "jewel"]
colours = ["red", "brown", "white", "yellow", "black", "orange", "violet", "grey", "blue", "green"]
lines = []
for i in range(100):
    thing, colour = things[i % 10], colours[i % 10]
    ask = ["What colour is the {}?", "Tell me the colour of the {}.", "The {}: which colour?", "Which colour has the {}?", "Is the {} coloured, and how?",
           "I see a {}. Its colour?", "Name the colour of the {}!", "What is the {} like?", "How does the {} look?", "Colour of the {}, please."][i // 10].format(thing)
    turns = [{"role": "user", "content": ask}, {"role": "assistant", "content": f"The {thing} is {colour}."}]
    if i % 3 == 0:
        other = (i + 1) % 10
        turns += [{"role": "user", "content": f"And the {things[other]}?"}, {"role": "assistant", "content": f"The {things[other]} is {colours[other]}."}]
    lines.append(turns)
with open(chats, "w", encoding="utf-8") as f:
    for turns in lines:
        f.write(json.dumps({"messages": turns}) + "\n")

t = Tokenizer(models.BPE())
t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
t.decoder = decoders.ByteLevel()
t.train_from_iterator([m["content"] for turns in lines for m in turns], trainers.BpeTrainer(
    vocab_size=380, special_tokens=["<|endoftext|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
t.add_special_tokens([AddedToken(x, special=True, normalized=False) for x in ("<|im_start|>", "<|im_end|>")])
tokenizer = PreTrainedTokenizerFast(tokenizer_object=t, eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=128)
tokenizer.chat_template = TEMPLATE
tokenizer.save_pretrained(directory)
end = tokenizer.convert_tokens_to_ids("<|im_end|>")

torch.manual_seed(3)
config = LlamaConfig(vocab_size=384, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=96,
                     max_position_embeddings=128, tie_word_embeddings=False, bos_token_id=None, eos_token_id=end, initializer_range=0.05)
model = LlamaForCausalLM(config)
model.generation_config = GenerationConfig(eos_token_id=end)
model.save_pretrained(directory)
