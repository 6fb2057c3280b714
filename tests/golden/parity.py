"""Golden files of the DeepSeek family, made by make_goldens.py: what transformers computes for rotary tables."""
import numpy as np
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

YARN = {"rope_type": "yarn", "factor": 40.0, "original_max_position_embeddings": 4096, "beta_fast": 32, "beta_slow": 1}
ROPES = {  # width of a head, base, parameters
    "linear": (64, 10000.0, {"rope_type": "linear", "factor": 4.0}),
    "llama3": (128, 500000.0, {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}),
    "yarn": (64, 10000.0, YARN),
    "yarn_mscale": (64, 10000.0, YARN | {"mscale": 0.707, "mscale_all_dim": 1.0}),
    "yarn_whole": (8, 10000.0, YARN | {"factor": 4.0, "original_max_position_embeddings": 64, "beta_fast": 4, "truncate": False}),
    "yarn_factor": (64, 10000.0, YARN | {"attention_factor": 1.25}),
}


def rope():
    """Frequencies and the tables' factor, by transformers' own functions."""
    out = {}
    for name, (dim, theta, parameters) in ROPES.items():
        config = LlamaConfig(hidden_size=dim * 2, num_attention_heads=2, head_dim=dim, max_position_embeddings=163840,
                             rope_parameters=parameters | {"rope_theta": theta})
        frequency, factor = ROPE_INIT_FUNCTIONS[parameters["rope_type"]](config, "cpu")
        out[name + ".frequency"] = frequency.numpy().astype(np.float32)
        out[name + ".factor"] = np.array([factor], np.float64)
    return out


FILES = {"rope": rope}
