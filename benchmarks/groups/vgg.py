"""VGG-11 at full width."""

from benchmarks.processes import Implementation
from benchmarks.race import Case, Group

_FOLDER = "benchmarks.implementations"

VGG = Group(
    name="vgg",
    title="VGG-11",
    about="Full width, D = 9,750,922, single precision, a batch of 100 images of 32 × 32 pixels. "
    "The square norms of the gradients of the examples give Tr Σ.",
    implementations={
        "aniso": Implementation(f"{_FOLDER}.aniso_vgg", "engine", is_peer=False),
        "PyTorch": Implementation(f"{_FOLDER}.torch_vgg", "eager"),
        "torch.func": Implementation(f"{_FOLDER}.torch_vgg", "functional"),
        "BackPACK": Implementation(f"{_FOLDER}.torch_vgg", "backpack"),
    },
    cases=lambda quick: [Case("VGG-11, batch of 100", {}, "float32")],  # noqa: ARG005
    labels={"gradient": "gradient", "square_norms": "square norms of per-example gradients"},
    heavy=("torch.func",),
    headline=("gradient", "square_norms"),
)
