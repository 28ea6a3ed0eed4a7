"""Forward pass and loss of decoders, in plain torch operations."""

import math

import torch

import architecture as arch


class Pass:
    """One model's forward passes: its weights, and the closest call of its routers."""

    def __init__(self, model, weights):
        self.model = model
        self.weights = weights
        self.gap = math.inf  # smallest distance of the last chosen and the first unchosen router logit
        self.score_gap = math.inf  # the same in what the logits become: probabilities or sigmoids
        self.mtp_loss = None

    def linear(self, path, name, x, rows, bias=False):
        columns = x.shape[-1]
        full = f"{path}.{name}"
        y = x @ self.weights.matrix(full, rows, columns).T
        if bias:
            y = y + self.weights.zeros(full + "_bias", 1, rows)
        lora = self.model.lora
        if lora and name in ("qkv", "attention_out", "fc1", "fc2"):
            a = self.weights.matrix(full + "_lora_a", lora["rank"], columns)
            b = self.weights.adapter_b(full + "_lora_b", rows, lora["rank"])
            y = y + lora["alpha"] / lora["rank"] * (x @ a.T) @ b.T
        return y

    def norm(self, path, name, x):
        full = f"{path}.{name}"
        if not self.model.layer_norm:
            return rms_norm(x, self.weights.ones(full, 1, x.shape[-1])[0], self.model.eps)
        weight, bias = self.weights.affine(full, x.shape[-1])
        return layer_norm(x, self.model.eps) * weight + bias


def rms_norm(x, weight, eps):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps) * weight


def layer_norm(x, eps):
    centred = x - x.mean(-1, keepdim=True)
    return centred / torch.sqrt((centred * centred).mean(-1, keepdim=True) + eps)


def gelu_tanh(x):
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def silu(x):
    return x / (1.0 + torch.exp(-x))


def activate(kind, h, limit):
    """Gated kinds take gate|up."""
    if kind == "gelu":
        return gelu_tanh(h)
    if kind == "relu2":
        return torch.clamp(h, min=0.0) ** 2
    gate, up = h.chunk(2, dim=-1)
    if kind == "swiglu":
        return silu(gate) * up
    gate, up = torch.clamp(gate, max=limit), torch.clamp(up, min=-limit, max=limit)
    return gate / (1.0 + torch.exp(-1.702 * gate)) * (up + 1.0)


def angles(length, dims, theta):
    """[length, dims / 2]: position times theta^(-2j / dims)."""
    frequencies = theta ** (-torch.arange(0, dims, 2, dtype=torch.float64) / dims)
    return torch.arange(length, dtype=torch.float64)[:, None] * frequencies


def rotate_halves(x, angle):
    """Element j is paired with element j + dims / 2."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], dim=-1)


def rotate_pairs(x, angle):
    """Element 2j is paired with element 2j + 1."""
    a, b = x[..., 0::2], x[..., 1::2]
    pairs = [a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()]
    return torch.stack(pairs, dim=-1).flatten(-2)


def split_heads(x, heads):
    """[b, s, heads * d] -> [b, heads, s, d]"""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x):
    return x.transpose(1, 2).flatten(-2)


def visible(length, window):
    """[queries, keys]: causal, and with a window only the last `window` keys, the query's own included."""
    distance = torch.arange(length)[:, None] - torch.arange(length)[None, :]
    return (distance >= 0) & ((distance < window) if window else torch.tensor(True))


def softmax_attention(q, k, v, mask=None, sinks=None):
    """Heads of k and v are shared by consecutive heads of q. `sinks`: one extra logit a head that has no value."""
    group = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = torch.exp(scores - scores.amax(-1, keepdim=True).detach())
    total = weights.sum(-1, keepdim=True)
    if sinks is not None:
        total = total + torch.exp(sinks.view(1, -1, 1, 1) - scores.amax(-1, keepdim=True).detach())
    return weights / total @ v


def attention(p, path, spec, x):
    q_rows, kv_rows = spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    qkv = p.linear(path, "qkv", p.norm(path, "attention_norm", x), q_rows + 2 * kv_rows, spec.qkv_bias)
    q, k, v = qkv.split([q_rows, kv_rows, kv_rows], dim=-1)
    q, k, v = split_heads(q, spec.heads), split_heads(k, spec.kv_heads), split_heads(v, spec.kv_heads)
    if spec.qk_norm:
        weight = p.weights.ones(f"{path}.qk_norm", 2, spec.head_dim)
        q, k = rms_norm(q, weight[0], p.model.eps), rms_norm(k, weight[1], p.model.eps)
    length = x.shape[1]
    if spec.rotary:
        angle = angles(length, spec.head_dim, p.model.theta)
        q, k = rotate_halves(q, angle), rotate_halves(k, angle)
    sinks = p.weights.zeros(f"{path}.sinks", 1, spec.heads) if spec.sinks else None
    out = merge_heads(softmax_attention(q, k, v, visible(length, spec.window), sinks))
    return p.linear(path, "attention_out", out, p.model.hidden, spec.out_bias)


def latent_attention(p, path, spec, x):
    n = p.norm(path, "attention_norm", x)
    q = n
    if spec.q_rank:
        q = p.norm(path, "q_norm", p.linear(path, "q_down", n, spec.q_rank))
    q = split_heads(p.linear(path, "q_up", q, spec.heads * (spec.nope + spec.rope)), spec.heads)
    low, k_rope = p.linear(path, "kv_down", n, spec.kv_rank + spec.rope).split([spec.kv_rank, spec.rope], dim=-1)
    kv = p.linear(path, "kv_up", p.norm(path, "kv_norm", low), spec.heads * (spec.nope + spec.v_dim))
    k_nope, v = split_heads(kv, spec.heads).split([spec.nope, spec.v_dim], dim=-1)
    q_nope, q_rope = q.split([spec.nope, spec.rope], dim=-1)
    angle = angles(x.shape[1], spec.rope, p.model.theta)
    k_rope = rotate_pairs(k_rope, angle)[:, None].expand(-1, spec.heads, -1, -1)  # one for all heads
    q = torch.cat([q_nope, rotate_pairs(q_rope, angle)], dim=-1)
    k = torch.cat([k_nope, k_rope], dim=-1)
    out = merge_heads(softmax_attention(q, k, v, visible(x.shape[1], 0)))
    return p.linear(path, "attention_out", out, p.model.hidden)


def mamba(p, path, spec, x):
    inner, states = spec.heads * spec.head_dim, spec.groups * spec.state
    rows = 2 * inner + 2 * states + spec.heads
    z, xbc, dt = p.linear(path, "in_proj", p.norm(path, "mamba_norm", x), rows).split(
        [inner, inner + 2 * states, spec.heads], dim=-1
    )
    taps = p.weights.convolution(f"{path}.conv", inner + 2 * states, spec.kernel)
    padded = torch.nn.functional.pad(xbc, (0, 0, spec.kernel - 1, 0))
    length = x.shape[1]
    convolved = sum(padded[:, j : j + length] * taps[:, j] for j in range(spec.kernel)) + taps[:, spec.kernel]
    values, b, c = silu(convolved).split([inner, states, states], dim=-1)
    y = scan(p.weights.scan_parameters(f"{path}.scan_parameters", spec.heads), spec, values, b, c, dt)
    gated = (y * silu(z)).unflatten(-1, (spec.groups, -1))  # the gate comes first, then a norm per group
    weight = p.weights.ones(f"{path}.gated_norm", 1, inner)[0]
    normed = rms_norm(gated, 1.0, p.model.eps).flatten(-2) * weight
    return p.linear(path, "out_proj", normed, p.model.hidden)


def scan(parameters, spec, values, b, c, dt):
    """State [head_dim, state] of each head: S <- exp(dt A) S + dt x B^T; y = S C + D x."""
    a_log, skip, dt_bias = parameters
    dt = torch.nn.functional.softplus(dt + dt_bias, threshold=1e9)
    decay = torch.exp(-dt * torch.exp(a_log))
    values = values.unflatten(-1, (spec.heads, spec.head_dim))
    share = spec.heads // spec.groups
    b = b.unflatten(-1, (spec.groups, spec.state)).repeat_interleave(share, dim=2)
    c = c.unflatten(-1, (spec.groups, spec.state)).repeat_interleave(share, dim=2)
    state = torch.zeros(*values.shape[:1], spec.heads, spec.head_dim, spec.state, dtype=torch.float64)
    out = []
    for t in range(values.shape[1]):
        written = (dt[:, t, :, None] * values[:, t])[..., None] * b[:, t, :, None, :]
        state = decay[:, t, :, None, None] * state + written
        out.append((state * c[:, t, :, None, :]).sum(-1) + skip[:, None] * values[:, t])
    return torch.stack(out, dim=1).flatten(-2)


def mlp(p, path, spec, x):
    rows = 2 * spec.ffn if arch.gated(spec.activation) else spec.ffn
    h = p.linear(path, "fc1", p.norm(path, "mlp_norm", x), rows, spec.bias)
    return p.linear(path, "fc2", activate(spec.activation, h, 0.0), p.model.hidden, spec.bias)


def route(p, path, spec, tokens):
    """[tokens, experts]: the weight of each expert, 0 where it is not chosen."""
    logits = tokens @ p.weights.matrix(f"{path}.router", spec.experts, p.model.hidden).T
    if spec.bias:
        logits = logits + p.weights.zeros(f"{path}.router_bias", 1, spec.experts)
    scores = {
        "softmax": lambda: torch.softmax(logits, dim=-1),
        "sigmoid": lambda: torch.sigmoid(logits),
        "top_k_softmax": lambda: logits,
    }[spec.router]()
    top = torch.topk(logits.detach(), spec.top_k + 1, dim=-1)
    p.gap = min(p.gap, (top.values[:, -2] - top.values[:, -1]).min().item())
    ranked = torch.gather(scores.detach(), 1, top.indices)
    p.score_gap = min(p.score_gap, (ranked[:, -2] - ranked[:, -1]).min().item())
    chosen = top.indices[:, :-1]
    picked = torch.gather(scores, 1, chosen)
    if spec.router == "top_k_softmax":
        picked = torch.softmax(picked, dim=-1)
    elif spec.normalise:
        picked = picked / picked.sum(-1, keepdim=True)
    return torch.zeros_like(logits).scatter(1, chosen, spec.scale * picked)


def moe(p, path, spec, x):
    n = p.norm(path, "moe_norm", x)
    tokens = n.flatten(0, 1)
    weights = route(p, path, spec, tokens)
    inside = tokens
    if spec.latent:
        inside = p.linear(path, "latent_down", tokens, spec.latent)
    width = inside.shape[-1]
    rows = 2 * spec.ffn if arch.gated(spec.activation) else spec.ffn
    fc1 = p.weights.matrix(f"{path}.experts_fc1", spec.experts * rows, width).unflatten(0, (spec.experts, rows))
    fc2 = p.weights.matrix(f"{path}.experts_fc2", spec.experts * width, spec.ffn).unflatten(0, (spec.experts, width))
    if spec.bias:
        fc1_bias = p.weights.zeros(f"{path}.experts_fc1_bias", spec.experts, rows)
        fc2_bias = p.weights.zeros(f"{path}.experts_fc2_bias", spec.experts, width)
    y = torch.zeros_like(inside)
    for e in range(spec.experts):
        mine = torch.nonzero(weights[:, e].detach())[:, 0]
        h = inside[mine] @ fc1[e].T + (fc1_bias[e] if spec.bias else 0.0)
        out = activate(spec.activation, h, spec.limit) @ fc2[e].T + (fc2_bias[e] if spec.bias else 0.0)
        y = y.index_add(0, mine, weights[mine, e, None] * out)
    if spec.latent:
        y = p.linear(path, "latent_up", y, p.model.hidden)
    if spec.shared_ffn:
        rows = 2 * spec.shared_ffn if arch.gated(spec.activation) else spec.shared_ffn
        h = activate(spec.activation, p.linear(path, "shared_fc1", tokens, rows), spec.limit)
        y = y + p.linear(path, "shared_fc2", h, p.model.hidden)
    return y.view_as(x)


PARTS = {
    arch.Attention: attention,
    arch.LatentAttention: latent_attention,
    arch.Mamba: mamba,
    arch.Mlp: mlp,
    arch.Moe: moe,
}


def layer(p, path, parts, x):
    for part in parts:
        x = x + PARTS[type(part)](p, path, part, x)
    return x


def cross_entropy(logits, labels):
    """Mean over all tokens."""
    picked = torch.gather(logits, -1, labels[..., None])[..., 0]
    return (torch.logsumexp(logits, dim=-1) - picked).mean()


def loss(p, tokens):
    """tokens [gbs, seq_len + 1 + mtp depth] -> main loss + 0.1 mean over depths of the losses of MTP."""
    model = p.model
    length = tokens.shape[1] - 1 - model.mtp_depth
    table = p.weights.matrix("embedding.embedding", model.vocab, model.hidden)
    x = table[tokens[:, :length]]
    if model.positions:
        x = x + p.weights.matrix("embedding.positions", model.positions, model.hidden)[:length]
    for i, parts in enumerate(model.layers):
        x = layer(p, f"layer.{i}", parts, x)

    def head(path, y, ahead):
        n = p.norm(path, "final_norm", y)
        logits = table if model.tied else p.weights.matrix("head.logits", model.vocab, model.hidden)
        return cross_entropy(n @ logits.T, tokens[:, ahead : ahead + length])

    main = head("head", x, 1)
    if not model.mtp_depth:
        return main
    later = []
    for depth in range(model.mtp_depth):
        path = f"mtp.{0 if model.mtp_shared else depth}"
        e = p.norm(path, "embedding_norm", table[tokens[:, depth + 1 : depth + 1 + length]])
        h = p.norm(path, "hidden_norm", x)
        x = p.linear(path, "mtp_projection", torch.cat([e, h], dim=-1), model.hidden)
        for parts in model.mtp_layers:
            x = layer(p, path, parts, x)
        later.append(head(path, x, depth + 2))
    p.mtp_loss = sum(later) / len(later)
    return main + 0.1 * p.mtp_loss
