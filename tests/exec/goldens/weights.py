"""Parameters by name, each made at its first use."""

import numpy as np
import torch

import streams


class Weights:
    """All parameters are 2-D [rows, columns]; y = x W^T + b."""

    def __init__(self, seed, init_std, adapters_only=False):
        self.seed = seed
        self.init_std = init_std
        self.adapters_only = adapters_only  # LoRA: all but the adapters is frozen
        self.table = {}
        self.decayed = set()

    def trainable(self):
        return {name: w for name, w in self.table.items() if w.requires_grad}

    def _get(self, name, make, decayed=False):
        if name not in self.table:
            adapter = name.endswith(("_lora_a", "_lora_b"))
            value = torch.tensor(make(), dtype=torch.float64)
            self.table[name] = value.requires_grad_(adapter or not self.adapters_only)
            if decayed:
                self.decayed.add(name)
        return self.table[name]

    def _drawn(self, name, rows, columns):
        return self.init_std * streams.centred(name, self.seed, np.arange(rows * columns)).reshape(rows, columns)

    def matrix(self, name, rows, columns):
        """The weight of a linear, or an embedding table."""
        return self._get(name, lambda: self._drawn(name, rows, columns), decayed=True)

    def adapter_b(self, name, rows, columns):
        return self._get(name, lambda: np.zeros((rows, columns)), decayed=True)

    def modulation(self, name, rows, columns):
        return self._get(name, lambda: self._drawn(name, rows, columns))

    def zeros(self, name, rows, columns):
        return self._get(name, lambda: np.zeros((rows, columns)))

    def ones(self, name, rows, columns):
        return self._get(name, lambda: np.ones((rows, columns)))

    def affine(self, name, columns):
        """Of a LayerNorm: rows weight, bias."""
        return self._get(name, lambda: np.stack([np.ones(columns), np.zeros(columns)]))

    def convolution(self, name, channels, kernel):
        """Taps, oldest first, and the bias as last column."""

        def make():
            value = self._drawn(name, channels, kernel + 1)
            value[:, kernel] = 0.0
            return value

        return self._get(name, make)

    def scan_parameters(self, name, heads):
        """Rows A_log, D, dt_bias of Mamba-2."""

        def make():
            step = 0.01 + 0.09 * streams.uniform(name, self.seed, 2 * heads + np.arange(heads))
            inverse_softplus = step + np.log(-np.expm1(-step))
            return np.stack([np.log(1.0 + np.arange(heads)), np.ones(heads), inverse_softplus])

        return self._get(name, make)
