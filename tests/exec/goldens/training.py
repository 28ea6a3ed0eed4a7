"""Trains a run for some steps and notes what a golden holds."""

import torch

import architecture
import decoder
import streams
import wan
from weights import Weights

LEAST_GAP = 1e-3  # of router logits: no route may hang on rounding


class Tie(Exception):
    """A route closer to a tie than LEAST_GAP."""


class Trainee:
    """A run's model, its weights and its data."""

    def __init__(self, run):
        self.run = run
        self.train = run["train"]
        lora = run.get("extra", {}).get("lora")
        self.weights = Weights(self.train["seed"], self.train["init_std"], adapters_only=lora is not None)
        self.diffusion = run["model"]["model_type"] == "wan"
        self.model = None
        if not self.diffusion:
            self.model = architecture.parse(run["model"])
            self.model.lora = lora
        self.forward = decoder.Pass(self.model, self.weights)

    def tokens(self, step):
        """[gbs, seq_len + 1 + mtp depth]"""
        length = self.run["seq_len"] + 1 + self.model.mtp_depth
        rows = range(step * self.run["gbs"], (step + 1) * self.run["gbs"])
        return torch.tensor([streams.sequence(self.train["seed"], r, length, self.model.vocab) for r in rows])

    def first_data(self):
        """The whole first sequence of tokens; of diffusion data the first numbers."""
        if not self.diffusion:
            return {"tokens": self.tokens(0)[0].tolist()}
        streams_of = zip(("latents", "noise", "text", "time"), wan.batch(self.run, 0))
        return {name: values.flatten()[:4].tolist() for name, values in streams_of}

    def loss(self, step):
        """Over the global batch of a step, from 0."""
        if self.diffusion:
            return wan.loss(self.run["model"], self.weights, wan.batch(self.run, step))
        return decoder.loss(self.forward, self.tokens(step))


class AdamW:
    """Decoupled weight decay (arXiv 1711.05101), bias-corrected moments."""

    def __init__(self, weights, train):
        self.weights = weights
        self.train = train
        self.moments = {}
        self.steps = 0

    def step(self, gradients, factor):
        lr, decay, (beta1, beta2) = self.train["lr"], self.train["weight_decay"], self.train["betas"]
        self.steps += 1
        for name, gradient in gradients.items():
            w, g = self.weights.table[name].data, factor * gradient
            m, v = self.moments.setdefault(name, (torch.zeros_like(w), torch.zeros_like(w)))
            m.mul_(beta1).add_((1 - beta1) * g)
            v.mul_(beta2).add_((1 - beta2) * g * g)
            if name in self.weights.decayed:
                w.sub_(lr * decay * w)
            first, second = m / (1 - beta1**self.steps), v / (1 - beta2**self.steps)
            w.sub_(lr * first / (second.sqrt() + 1e-8))


def summaries(weights):
    """{name: [sum, sum of squares, the first four]}"""
    values = {name: w.detach() for name, w in weights.table.items()}
    return {name: [w.sum().item(), (w * w).sum().item(), *w.flatten()[:4].tolist()] for name, w in values.items()}


def train(run, steps):
    """The golden of a run, as a dictionary without `run`. Throws Tie."""
    trainee = Trainee(run)
    optimizer = None
    golden = {"losses": [], "global_gradient_norm": [], "gradient_norms": {}}
    for step in range(steps):
        loss = trainee.loss(step)
        if trainee.forward.gap < LEAST_GAP:
            raise Tie(f"step {step + 1}: a route is {trainee.forward.gap:.3g} from a tie; choose another seed")
        if not optimizer:
            optimizer = AdamW(trainee.weights, run["train"])
            golden["parameters"] = {name: list(w.shape) for name, w in trainee.weights.table.items()}
            golden["initial_weights"] = summaries(trainee.weights)
        trained = trainee.weights.trainable()
        gradients = dict(zip(trained, torch.autograd.grad(loss, list(trained.values()))))
        norms = {name: g.norm().item() for name, g in gradients.items()}
        total = sum(n * n for n in norms.values()) ** 0.5
        golden["losses"].append(loss.item())
        if trainee.forward.mtp_loss is not None:
            golden.setdefault("mtp_losses", []).append(trainee.forward.mtp_loss.item())
        golden["global_gradient_norm"].append(total)
        if step + 1 in (1, steps):
            golden["gradient_norms"][str(step + 1)] = norms
        optimizer.step(gradients, min(1.0, run["train"]["clip"] / (total + 1e-6)))
    golden["weights"] = summaries(trainee.weights)
    golden["first_data"] = trainee.first_data()
    if trainee.forward.gap < float("inf"):
        golden["route_gap"] = trainee.forward.gap
        golden["route_gap_of_scores"] = trainee.forward.score_gap
    return golden
