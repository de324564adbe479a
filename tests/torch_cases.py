"""Small PyTorch models of many kinds, with data for them."""

import torch

functional = torch.nn.functional
NUM_EXAMPLES, NUM_INPUTS, NUM_CLASSES = 5, 6, 3


class Normalised(torch.nn.Module):
    """Layer normalisation inside a residual branch."""

    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Linear(6, 8), torch.nn.Linear(8, 3)
        self.norm, self.branch = torch.nn.LayerNorm(8), torch.nn.Linear(8, 8)

    def forward(self, x):
        hidden = self.first(x)
        return self.last(hidden + torch.tanh(self.branch(self.norm(hidden))))


class Attention(torch.nn.Module):
    """A module with multi-head attention, over two tokens of three numbers."""

    def __init__(self):
        super().__init__()
        self.embed, self.last = torch.nn.Linear(3, 4), torch.nn.Linear(4, 3)
        self.attention = torch.nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        tokens = self.embed(x.reshape(-1, 2, 3))
        mixed, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        return self.last((tokens + mixed).mean(1))


class Tied(torch.nn.Module):
    """An embedding whose weights are those of the last layer too."""

    def __init__(self):
        super().__init__()
        self.embed, self.hidden = torch.nn.Embedding(3, 2), torch.nn.Linear(12, 2)
        self.last = torch.nn.Linear(2, 3, bias=False)
        self.last.weight = self.embed.weight

    def forward(self, x):
        return self.last(torch.tanh(self.hidden(self.embed(x.abs().long() % 3).flatten(1))))


class Convolutional(torch.nn.Module):
    """Convolution, group normalisation and pooling."""

    def __init__(self):
        super().__init__()
        self.kernel, self.norm = torch.nn.Conv1d(1, 3, 3), torch.nn.GroupNorm(1, 3)
        self.last = torch.nn.Linear(6, 3)

    def forward(self, x):
        maps = functional.gelu(self.norm(self.kernel(x[:, None])))
        return self.last(functional.max_pool1d(maps, 2).flatten(1))


def frozen_statistics():
    """A model with batch normalisation in evaluation mode."""
    return torch.nn.Sequential(
        torch.nn.Linear(6, 4), torch.nn.BatchNorm1d(4), torch.nn.Tanh(), torch.nn.Linear(4, 3)
    ).eval()


def perceptron():
    """One hidden layer with a kink."""
    return torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))


MODELS = {
    "layer normalisation": Normalised,
    "attention": Attention,
    "tied weights": Tied,
    "convolution": Convolutional,
    "batch normalisation, evaluated": frozen_statistics,
    "perceptron": perceptron,
}


def made(kind):
    """Return a model of a kind with fixed parameters."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return MODELS[kind]()


def data():
    """Inputs (5, 6) in single precision, and class numbers (5,)."""
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(NUM_EXAMPLES, NUM_INPUTS, generator=generator)
    return inputs, torch.randint(0, NUM_CLASSES, (NUM_EXAMPLES,), generator=generator)
