"""What the Python package `tokenizers` makes of the same files.

encode TOKENIZER TEXTS OUT [ordinary]   TEXTS: JSON list of strings; OUT: JSON list of id lists
train SPLIT_FILE VOCABULARY OUT FILE... OUT: a tokenizer.json trained on the files, each one text
"""
import json
import sys

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers


def encode(tokenizer, texts, out, how="parse"):
    t = Tokenizer.from_file(tokenizer)
    t.encode_special_tokens = how == "ordinary"
    with open(texts, encoding="utf-8") as f:
        lines = json.load(f)
    ids = [e.ids for e in t.encode_batch(lines, add_special_tokens=False)]
    back = [t.decode(i, skip_special_tokens=False) for i in ids]
    with open(out, "w", encoding="utf-8") as f:
        json.dump({"size": t.get_vocab_size(), "ids": ids, "text": back}, f)


def train(split, vocabulary, out, *files):
    with open(split, encoding="utf-8") as f:
        pattern = f.read()
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    t.decoder = decoders.ByteLevel()
    texts = []
    for name in files:
        with open(name, encoding="utf-8", newline="") as f:
            texts.append(f.read())
    trainer = trainers.BpeTrainer(
        vocab_size=int(vocabulary), min_frequency=2, special_tokens=["<|end_of_text|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
    )
    t.train_from_iterator(texts, trainer)
    t.save(out)


if __name__ == "__main__":
    {"encode": encode, "train": train}[sys.argv[1]](*sys.argv[2:])
