"""Drawing of the curvature benchmark: aniso beside its peers, and the cost over N."""

from matplotlib.figure import Figure

LABELS = {
    "gradient_100": "gradient, batch of 100",
    "gradient": "full-batch gradient",
    "per_example_gradients": "per-example gradients",
    "hessian_product_moving": "Hv, moving θ",
    "hessian_product_fixed": "Hv, fixed θ",
    "hessian_product_block32": "Hv, fixed θ, of 32",
    "hessian_product_block128": "Hv, fixed θ, of 128",
}
SCALED = {
    "gradient": ("gradient", "#0072B2", "o"),
    "per_example_gradients": ("per-example gradients", "#56B4E9", "v"),
    "hessian_product_block32": ("Hv of a block of 32", "#009E73", "s"),
    "linearisation": ("linearisation", "#E69F00", "^"),
    "alignment": ("Tr(HΣ)", "#CC79A7", "P"),
    "dense_hessian": ("dense H", "#D55E00", "D"),
}
_PEERS = {
    "torch eager": ("#56B4E9", "o"), "torch tiled": ("#0072B2", "s"),
    "torch.func": ("#CC79A7", "^"), "JAX": ("#E69F00", "v"), "JAX tiled": ("#D55E00", "D"),
    "BackPACK": ("#009E73", "P"), "curvlinops": ("#999999", "X"), "autograd": ("#B8A000", "*"),
}  # fmt: skip


def draw(results, path):
    """Panels: every implementation at N = 1,200, and aniso over N; FashionMNIST network, double.

    Parameters
    ----------
    results : list of dict
        As the benchmark writes them.
    path : Path
    """
    ours = [r for r in results if r["model"] == "fashion" and r["dtype"] == "float64"]
    canvas = Figure(figsize=(7.2, 3.9), layout="constrained", dpi=200)
    left, right = canvas.subplots(1, 2)
    _draw_peers(left, [r for r in ours if r["num_examples"] == 1200])
    _draw_sizes(right, [r for r in ours if r["implementation"] == "aniso"])
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7)
    canvas.savefig(path)


def _draw_peers(axes, results):
    rows = [quantity for quantity in LABELS if any(r["quantity"] == quantity for r in results)]
    times = {(r["quantity"], r["implementation"]): 1e3 * r["seconds"] for r in results}
    # a peer without blocks of this size stands with its best time per vector
    single = "hessian_product_fixed"
    for peer, (colour, marker) in (*_PEERS.items(), ("aniso", ("black", "o"))):
        own = [
            (times[quantity, peer], row)
            for row, quantity in enumerate(rows)
            if (quantity, peer) in times
        ]
        if own:
            large = 6.5 if peer == "aniso" else 4.5
            axes.plot(*zip(*own, strict=True), marker, color=colour, ms=large, label=peer)
    best = min((t for (q, p), t in times.items() if q == single and p != "aniso"), default=None)
    if best is not None:
        for quantity in ("hessian_product_block32", "hessian_product_block128"):
            if quantity in rows:
                row = rows.index(quantity)
                axes.plot([times[quantity, "aniso"], best], [row, row], ":", color="0.6", lw=1)
                axes.plot([best], [row], "|", color="0.4", ms=9)
    axes.set(xscale="log", yticks=range(len(rows)), ylim=(len(rows) - 0.5, -0.5))
    axes.set_yticklabels([LABELS[quantity] for quantity in rows])
    axes.set_xlabel("milliseconds (per vector), N = 1,200", fontsize=8)
    _legend_below(axes, 3)
    axes.set_title("a", loc="left", fontweight="bold", fontsize=9)


def _draw_sizes(axes, results):
    for quantity, (label, colour, marker) in SCALED.items():
        own = sorted(
            (r["num_examples"], r["seconds"]) for r in results if r["quantity"] == quantity
        )
        if len(own) > 1:
            axes.plot(*zip(*own, strict=True), marker=marker, color=colour, ms=4, lw=1, label=label)
    sizes = sorted({r["num_examples"] for r in results})
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("examples N", fontsize=8)
    axes.set_ylabel("seconds (Hv: per vector)", fontsize=8)
    _legend_below(axes, 2)
    axes.set_title("b", loc="left", fontweight="bold", fontsize=9)


def _legend_below(axes, columns):
    axes.legend(
        fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=columns,
        handletextpad=0.2, columnspacing=1.2,
    )  # fmt: skip
