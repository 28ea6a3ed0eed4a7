"""The same models written a second time and differently, from the keys of the config alone: torch's own layers and
optimizer, rotation by complex numbers, MLA absorbed into its latents, all experts computed for all tokens, Mamba-2 as
masked attention. Only names and initial values are shared with the first."""

import math

import torch
import torch.nn.functional as F


def rms(x, weight, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def turn(x, theta, halves):
    """Rotary positions over [..., s, d]."""
    length, dims = x.shape[-2:]
    rate = torch.tensor([theta ** (-2.0 * j / dims) for j in range(dims // 2)], dtype=torch.float64)
    turned = torch.polar(torch.ones(length, dims // 2).double(), torch.outer(torch.arange(length).double(), rate))
    if halves:
        z = torch.complex(x[..., : dims // 2], x[..., dims // 2 :]) * turned
        return torch.cat([z.real, z.imag], -1)
    z = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2).contiguous()) * turned
    return torch.view_as_real(z).flatten(-2)


def torch_attention(q, k, v, causal):
    """torch's own, whose name was private before 2.0."""
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    return F._scaled_dot_product_attention(q, k, v, is_causal=causal)[0]


class Second:
    def __init__(self, run, table):
        self.run, self.c, self.w = run, run["model"], table
        self.kind = self.c["model_type"]
        self.eps = self.c.get("rms_norm_eps", self.c.get("layer_norm_epsilon"))
        self.lora = run.get("extra", {}).get("lora")

    def linear(self, name, x, first=0, rows=None):
        """Of some rows of a weight."""
        some = slice(first, None if rows is None else first + rows)
        bias = self.w[name + "_bias"][0, some] if name + "_bias" in self.w else None
        weight = self.w[name][some]
        if name + "_lora_a" in self.w:  # merged
            scale = self.lora["alpha"] / self.lora["rank"]
            weight = weight + scale * self.w[name + "_lora_b"][some] @ self.w[name + "_lora_a"]
        return F.linear(x, weight, bias)

    def norm(self, name, x):
        if self.kind == "gpt2":
            return F.layer_norm(x, x.shape[-1:], self.w[name][0], self.w[name][1], self.eps)
        return rms(x, self.w[name][0], self.eps)

    def loss(self, tokens):
        depth = self.c.get("mtp_depth", self.c.get("num_nextn_predict_layers", 0))
        length = self.run["seq_len"]
        table = self.w["embedding.embedding"]
        logits = self.w.get("head.logits", table)
        x = F.embedding(tokens[:, :length], table)
        if "embedding.positions" in self.w:
            x = x + F.embedding(torch.arange(length), self.w["embedding.positions"])
        for i in range(self.c.get("n_layer", self.c.get("num_hidden_layers"))):
            x = self.layer(f"layer.{i}.", i, x)

        def cross_entropy(name, y, labels):
            return F.cross_entropy(F.linear(self.norm(name, y), logits).flatten(0, 1), labels.flatten())

        total = cross_entropy("head.final_norm", x, tokens[:, 1 : length + 1])
        for d in range(depth):
            path = "mtp.0." if self.kind == "nemotron_h" else f"mtp.{d}."
            e = self.norm(path + "embedding_norm", F.embedding(tokens[:, d + 1 : d + 1 + length], table))
            h = self.norm(path + "hidden_norm", x)
            left, right = self.w[path + "mtp_projection"].chunk(2, dim=1)
            x = self.layer(path, self.c["num_hidden_layers"], F.linear(e, left) + F.linear(h, right))
            labels = tokens[:, d + 2 : d + 2 + length]
            total = total + 0.1 / depth * cross_entropy(path + "final_norm", x, labels)
        return total

    def layer(self, path, i, x):
        """What the layer is made of shows in the names of its weights."""
        if path + "kv_down" in self.w:
            x = x + self.latent(path, self.norm(path + "attention_norm", x))
        elif path + "qkv" in self.w:
            x = x + self.attention(path, i, self.norm(path + "attention_norm", x))
        if path + "in_proj" in self.w:
            x = x + self.mamba(path, self.norm(path + "mamba_norm", x))
        if path + "fc1" in self.w:
            x = x + self.mlp(path + "fc1", path + "fc2", self.norm(path + "mlp_norm", x))
        if path + "router" in self.w:
            x = x + self.moe(path, self.norm(path + "moe_norm", x))
        return x

    def attention(self, path, i, x):
        c = self.c
        heads = c.get("n_head", c.get("num_attention_heads"))
        shared = c.get("num_key_value_heads", heads)
        d = c.get("head_dim", x.shape[-1] // heads)
        starts, counts = (0, heads * d, (heads + shared) * d), (heads, shared, shared)
        q, k, v = (self.linear(path + "qkv", x, a, n * d).unflatten(-1, (n, d)) for a, n in zip(starts, counts))
        if path + "qk_norm" in self.w:
            q, k = rms(q, self.w[path + "qk_norm"][0], self.eps), rms(k, self.w[path + "qk_norm"][1], self.eps)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        if self.kind not in ("gpt2", "nemotron_h"):
            theta = c.get("rope_theta", 10000.0)
            q, k = turn(q, theta, True), turn(k, theta, True)
        of_head = torch.arange(heads) // (heads // shared)
        k, v = k[:, of_head], v[:, of_head]
        out = self.with_sinks(path, i, q, k, v) if path + "sinks" in self.w else torch_attention(q, k, v, True)
        return self.linear(path + "attention_out", out.transpose(1, 2).flatten(2))

    def with_sinks(self, path, i, q, k, v):
        """The sink is a key of its own whose column is dropped after the softmax."""
        allowed = torch.ones(q.shape[2], q.shape[2]).tril()
        if self.c["layer_types"][i] == "sliding_attention":
            allowed = allowed.triu(1 - self.c["sliding_window"])
        scores = torch.einsum("bhqd,bhkd->bhqk", q, k) * q.shape[-1] ** -0.5
        scores = scores + torch.where(allowed > 0, 0.0, -math.inf).double()
        sink = self.w[path + "sinks"][0][None, :, None, None].expand(*scores.shape[:3], 1)
        return torch.softmax(torch.cat([scores, sink], -1), -1)[..., :-1] @ v

    def latent(self, path, x):
        c = self.c
        heads, nope, rope, rank = (
            c[k] for k in ("num_attention_heads", "qk_nope_head_dim", "qk_rope_head_dim", "kv_lora_rank")
        )
        q = self.linear(path + "q_up", self.norm(path + "q_norm", self.linear(path + "q_down", x)))
        q = q.unflatten(-1, (heads, nope + rope)).transpose(1, 2)
        low = self.norm(path + "kv_norm", self.linear(path + "kv_down", x, 0, rank))
        k_rope = turn(self.linear(path + "kv_down", x, rank, rope), c["rope_theta"], False)
        up = self.w[path + "kv_up"].unflatten(0, (heads, nope + c["v_head_dim"]))
        scores = torch.einsum("bhqn,hnr,bkr->bhqk", q[..., :nope], up[:, :nope], low)
        scores = scores + torch.einsum("bhqd,bkd->bhqk", turn(q[..., nope:], c["rope_theta"], False), k_rope)
        future = torch.ones(scores.shape[-2:]).triu(1) > 0
        weights = torch.softmax((scores * (nope + rope) ** -0.5).masked_fill(future, -math.inf), -1)
        out = torch.einsum("bhqk,bkr,hvr->bqhv", weights, low, up[:, nope:])
        return self.linear(path + "attention_out", out.flatten(2))

    def act(self, h):
        if self.kind == "gpt2":
            return F.gelu(h, approximate="tanh")
        if self.kind == "nemotron_h":
            return F.relu(h).square()
        n = h.shape[-1] // 2
        gate, up = h[..., :n], h[..., n:]
        if self.kind != "gpt_oss":
            return F.silu(gate) * up
        limit = self.c["swiglu_limit"]
        gate, up = torch.minimum(gate, torch.tensor(limit)), F.hardtanh(up, -limit, limit)
        return (1 + up) * gate * torch.sigmoid(1.702 * gate)

    def mlp(self, fc1, fc2, x):
        return self.linear(fc2, self.act(self.linear(fc1, x)))

    def moe(self, path, x):
        c = self.c
        experts = self.w[path + "router"].shape[0]
        logits = self.linear(path + "router", x)
        kth = logits.sort(-1, descending=True).values[..., c["num_experts_per_tok"] - 1, None]
        chosen = logits >= kth
        if self.kind in ("qwen3_moe", "gpt_oss"):  # normalised probabilities of the chosen: a softmax over them
            weights = torch.softmax(torch.where(chosen, logits, torch.full_like(logits, -math.inf)), -1)
        else:
            scores = torch.sigmoid(logits) * chosen
            weights = c["routed_scaling_factor"] * scores / scores.sum(-1, keepdim=True)
        inside = self.linear(path + "latent_down", x) if path + "latent_down" in self.w else x
        fc1 = self.w[path + "experts_fc1"].view(experts, -1, inside.shape[-1])
        fc2 = self.w[path + "experts_fc2"].view(experts, inside.shape[-1], -1)
        h = torch.einsum("bsi,eoi->bseo", inside, fc1)
        if path + "experts_fc1_bias" in self.w:
            h = h + self.w[path + "experts_fc1_bias"]
        out = torch.einsum("bseo,eio->bsei", self.act(h), fc2)
        if path + "experts_fc2_bias" in self.w:
            out = out + self.w[path + "experts_fc2_bias"]
        y = torch.einsum("bsei,bse->bsi", out, weights)
        y = self.linear(path + "latent_up", y) if path + "latent_up" in self.w else y
        return y + self.mlp(path + "shared_fc1", path + "shared_fc2", x) if path + "shared_fc1" in self.w else y

    def mamba(self, path, x):
        c = self.c
        heads, d, groups, n = (c[k] for k in ("mamba_num_heads", "mamba_head_dim", "n_groups", "ssm_state_size"))
        inner, states, kernel = heads * d, groups * n, c["conv_kernel"]
        z = self.linear(path + "in_proj", x, 0, inner)
        mixed = self.linear(path + "in_proj", x, inner, inner + 2 * states).transpose(1, 2)
        dt = self.linear(path + "in_proj", x, 2 * inner + 2 * states, heads)
        conv = self.w[path + "conv"]
        mixed = F.conv1d(mixed, conv[:, None, :kernel], conv[:, kernel], padding=kernel - 1, groups=conv.shape[0])
        mixed = F.silu(mixed[..., : x.shape[1]]).transpose(1, 2)
        values = mixed[..., :inner].unflatten(-1, (heads, d))
        of_head = torch.arange(heads) // (heads // groups)
        b = mixed[..., inner : inner + states].unflatten(-1, (groups, n))[:, :, of_head]
        read = mixed[..., inner + states :].unflatten(-1, (groups, n))[:, :, of_head]
        scan = self.w[path + "scan_parameters"]
        dt = F.softplus(dt + scan[2])
        passed = torch.cumsum(dt * -scan[0].exp(), 1).transpose(1, 2)
        decay = (passed[..., :, None] - passed[..., None, :]).tril().exp().tril()
        y = torch.einsum("bqhn,bkhn,bhqk,bkh,bkhd->bqhd", read, b, decay, dt, values) + scan[1][:, None] * values
        y = y.flatten(2) * F.silu(z)
        parts = [rms(part, 1.0, self.eps) for part in y.chunk(groups, -1)]
        return self.linear(path + "out_proj", torch.cat(parts, -1) * self.w[path + "gated_norm"][0])


class SecondWan(Second):
    def turn_by_grid(self, x):
        """[b, heads, s, d] seen as [b, heads, f, h, w, d / 2]: each axis turns the pairs that are its own."""
        f, h, w = self.grid
        z = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous()).unflatten(2, (f, h, w))
        pairs = z.shape[-1]
        third = pairs // 3
        parts = z.split([pairs - 2 * third, third, third], -1)
        turned = []
        for axis, part in enumerate(parts):
            places = torch.arange((f, h, w)[axis]).double()
            rate = 10000.0 ** -(torch.arange(part.shape[-1]).double() / part.shape[-1])
            shape = [1, 1, 1, part.shape[-1]]
            shape[axis] = len(places)
            angle = torch.outer(places, rate).view(shape)
            turned.append(part * torch.polar(torch.ones_like(angle), angle))
        return torch.view_as_real(torch.cat(turned, -1)).flatten(-2).flatten(2, 4)

    def loss(self, data):
        latents, noise, text, times = data
        self.grid = {16: (2, 2, 4), 32: (2, 4, 4)}[latents.shape[1]]
        mixed = torch.lerp(latents, noise, times[:, None, None])
        h = self.c["hidden_size"]
        x = self.linear("embedding.patch_embedding", mixed)
        text = F.gelu(self.linear("embedding.text_fc1", text), approximate="tanh")
        text = self.linear("embedding.text_fc2", text)
        half = self.c["freq_dim"] // 2
        rate = torch.exp(-math.log(10000.0) * torch.arange(half).double() / half)
        waves = torch.polar(torch.ones(len(times), half).double(), torch.outer(1000 * times, rate))
        e = self.linear("embedding.time_fc1", torch.cat([waves.real, waves.imag], -1))
        e = self.linear("embedding.time_fc2", F.silu(e))
        six = [self.linear("embedding.time_projection", F.silu(e), j * h, h) for j in range(6)]
        for i in range(self.c["num_hidden_layers"]):
            x = self.dit_layer(f"layer.{i}.", x, text, six)
        shift, scale = self.w["head.head_modulation"]
        x = F.layer_norm(x, (h,), eps=1e-6)
        velocity = self.linear("head.unpatch", x + x * (scale + e)[:, None] + (shift + e)[:, None])
        return F.mse_loss(velocity, noise - latents)

    def dit_layer(self, path, x, text, six):
        h, heads = self.c["hidden_size"], self.c["num_attention_heads"]
        m = [(self.w[path + "modulation"][j] + six[j])[:, None] for j in range(6)]

        def apart(y):
            return y.unflatten(-1, (heads, -1)).transpose(1, 2)

        n = F.layer_norm(x, (h,), eps=1e-6) * (1 + m[1]) + m[0]
        q, k, v = (self.linear(path + "qkv", n, j * h, h) for j in range(3))
        q, k = (apart(rms(y, self.w[path + "qk_norm"][j], 1e-6)) for j, y in enumerate((q, k)))
        y = torch_attention(self.turn_by_grid(q), self.turn_by_grid(k), apart(v), False)
        x = x + m[2] * self.linear(path + "attention_out", y.transpose(1, 2).flatten(2))
        q = self.linear(path + "cross_q", F.layer_norm(x, (h,), *self.w[path + "cross_norm"], 1e-6))
        k, v = (self.linear(path + "cross_kv", text, j * h, h) for j in range(2))
        q, k = (apart(rms(y, self.w[path + "cross_qk_norm"][j], 1e-6)) for j, y in enumerate((q, k)))
        x = x + self.linear(path + "cross_out", torch_attention(q, k, apart(v), False).transpose(1, 2).flatten(2))
        n = F.layer_norm(x, (h,), eps=1e-6) * (1 + m[4]) + m[3]
        return x + m[5] * self.linear(path + "fc2", F.gelu(self.linear(path + "fc1", n), approximate="tanh"))
