"""VGG-11, at full width and as small as in a study of Figures 1 and 6."""

from benchmarks.processes import Implementation
from benchmarks.race import Case, Group

_FOLDER = "benchmarks.implementations"

_CASES = [
    Case("VGG-11, batch of 100", {"num_images": 100, "width": 1.0, "pixels": 32}, "float32"),
    Case(
        "VGG-11, an eighth as wide, N = 500",
        {"num_images": 500, "width": 1 / 8, "pixels": 16},
        "float32",
    ),
]

VGG = Group(
    name="vgg",
    title="VGG-11",
    about="Single precision. Full width: D = 9,750,922, a batch of 100 images of 32 × 32 pixels; "
    "at an eighth of it, D = 153,530, 500 images of 16 × 16 pixels, as in Figures 1 and 6. The "
    "square norms of the gradients of the examples give Tr Σ.",
    implementations={
        "aniso": Implementation(f"{_FOLDER}.aniso_vgg", "engine", is_peer=False),
        "PyTorch": Implementation(f"{_FOLDER}.torch_vgg", "eager"),
        "PyTorch channels last": Implementation(
            f"{_FOLDER}.torch_vgg", "eager", {"memory_format": "channels_last"}
        ),
        "torch.func": Implementation(f"{_FOLDER}.torch_vgg", "functional"),
        "BackPACK": Implementation(f"{_FOLDER}.torch_vgg", "backpack"),
    },
    cases=lambda quick: _CASES,  # noqa: ARG005
    labels={"gradient": "gradient", "square_norms": "square norms of per-example gradients"},
    heavy=("torch.func",),
    headline=("gradient", "square_norms"),
)
