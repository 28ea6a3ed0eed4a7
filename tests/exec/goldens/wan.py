"""Forward pass and flow-matching loss of WAN 2.1 (arXiv 2503.20314), in plain torch operations."""

import math

import numpy as np
import torch

import streams
from decoder import gelu_tanh, layer_norm, merge_heads, rms_norm, rotate_pairs, silu, softmax_attention, split_heads

EPS = 1e-6
THETA = 10000.0


def patch_width(c, channels):
    return c[channels] * c["patch_t"] * c["patch_hw"] ** 2


def grid(tokens):
    """(frames, height, width): frames the largest divisor below the cube root, height the largest of the rest below
    the square root."""
    frames = max(f for f in range(1, tokens + 1) if tokens % f == 0 and f**3 <= tokens)
    rest = tokens // frames
    height = max(h for h in range(1, rest + 1) if rest % h == 0 and h**2 <= rest)
    return frames, height, rest // height


def batch(run, step):
    """Latents and noise [gbs, seq_len, patch width], text [gbs, text_len, text_dim] and times [gbs] of a step."""
    c, seed, gbs = run["model"], run["train"]["seed"], run["gbs"]
    rows = step * gbs + np.arange(gbs)

    def drawn(stream, *shape):
        elements = math.prod(shape)
        indices = rows[:, None] * elements + np.arange(elements)
        return torch.tensor(streams.centred(stream, seed, indices)).view(gbs, *shape)

    latents = drawn("latents", run["seq_len"], patch_width(c, "in_channels"))
    noise = drawn("noise", run["seq_len"], patch_width(c, "in_channels"))
    text = drawn("text", c["text_len"], c["text_dim"])
    return latents, noise, text, torch.tensor(streams.uniform("time", seed, rows))


def axis_angles(tokens, head_dim):
    """[tokens, head_dim / 2]: the first frequencies turn with the frame, the next with the row, the last with the
    column."""
    frames, height, width = grid(tokens)
    third = head_dim // 2 // 3
    t = torch.arange(tokens)
    angles = []
    for position, pairs in (
        (t // (height * width), head_dim // 2 - 2 * third),
        (t // width % height, third),
        (t % width, third),
    ):
        frequencies = THETA ** (-torch.arange(pairs, dtype=torch.float64) / pairs)
        angles.append(position[:, None].double() * frequencies)
    return torch.cat(angles, dim=-1)


def time_embedding(times, dims):
    half = dims // 2
    angle = 1000.0 * times[:, None] * 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    return torch.cat([angle.cos(), angle.sin()], dim=-1)


def prediction(c, w, x, text, times):
    """The velocity of each patch [b, tokens, patch width]."""
    h, inner = c["hidden_size"], c["num_attention_heads"] * c["head_dim"]
    angle = axis_angles(x.shape[1], c["head_dim"])

    def linear(name, x, rows):
        return x @ w.matrix(name, rows, x.shape[-1]).T + w.zeros(name + "_bias", 1, rows)

    def attend(q, k, v):
        return merge_heads(softmax_attention(q, k, v))

    def heads(x):
        return split_heads(x, c["num_attention_heads"])

    def layer(path, x, text, six):
        modulation = (w.modulation(f"{path}.modulation", 6, h) + six)[:, :, None]
        shift1, scale1, gate1, shift2, scale2, gate2 = modulation.unbind(1)
        q, k, v = linear(f"{path}.qkv", layer_norm(x, EPS) * (1 + scale1) + shift1, 3 * inner).chunk(3, dim=-1)
        weight = w.ones(f"{path}.qk_norm", 2, inner)  # over all heads together
        q, k = heads(rms_norm(q, weight[0], EPS)), heads(rms_norm(k, weight[1], EPS))
        y = attend(rotate_pairs(q, angle), rotate_pairs(k, angle), heads(v))
        x = x + linear(f"{path}.attention_out", y, h) * gate1

        weight, bias = w.affine(f"{path}.cross_norm", h)
        q = linear(f"{path}.cross_q", layer_norm(x, EPS) * weight + bias, inner)
        k, v = linear(f"{path}.cross_kv", text, 2 * inner).chunk(2, dim=-1)
        weight = w.ones(f"{path}.cross_qk_norm", 2, inner)
        y = attend(heads(rms_norm(q, weight[0], EPS)), heads(rms_norm(k, weight[1], EPS)), heads(v))
        x = x + linear(f"{path}.cross_out", y, h)

        y = linear(f"{path}.fc1", layer_norm(x, EPS) * (1 + scale2) + shift2, c["intermediate_size"])
        return x + linear(f"{path}.fc2", gelu_tanh(y), h) * gate2

    x = linear("embedding.patch_embedding", x, h)
    text = linear("embedding.text_fc2", gelu_tanh(linear("embedding.text_fc1", text, h)), h)
    e = time_embedding(times, c["freq_dim"])
    e = linear("embedding.time_fc2", silu(linear("embedding.time_fc1", e, h)), h)
    six = linear("embedding.time_projection", silu(e), 6 * h).unflatten(-1, (6, h))
    for i in range(c["num_hidden_layers"]):
        x = layer(f"layer.{i}", x, text, six)
    shift, scale = (w.modulation("head.head_modulation", 2, h) + e[:, None])[:, :, None].unbind(1)
    return linear("head.unpatch", layer_norm(x, EPS) * (1 + scale) + shift, patch_width(c, "out_channels"))


def loss(c, w, data):
    """Flow matching (arXiv 2210.02747): x_t = (1 - t) x + t noise, whose velocity is noise - x."""
    latents, noise, text, times = data
    t = times[:, None, None]
    velocity = prediction(c, w, (1 - t) * latents + t * noise, text, times)
    return ((velocity - (noise - latents)) ** 2).mean()
