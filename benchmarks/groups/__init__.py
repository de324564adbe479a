"""The groups of the report, in its order; a new one is a module and a line here."""

from benchmarks.groups import (
    alignment,
    autograd_losses,
    ensembles,
    growth,
    networks,
    places,
    startup,
    steps,
    torch_modules,
    vgg,
)

GROUPS = {
    group.name: group
    for group in (
        networks.CONVOLUTIONAL,
        networks.DENSE,
        steps.STEPS,
        ensembles.ENSEMBLES,
        vgg.VGG,
        torch_modules.TORCH,
        autograd_losses.AUTOGRAD,
        steps.DYNAMICS,
        alignment.ALIGNMENT,
        startup.MATRICES,
        startup.IMPORTS,
        startup.FIRST_CALLS,
        startup.VERIFICATION,
        places.PLACES,
        growth.GROWTH,
    )
}
