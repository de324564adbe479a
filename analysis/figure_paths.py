"""Where data and pictures of a figure lie: what is a user's own has a folder and names apart."""

from analysis import figure_data, figure_parameters, image_sources


def data_file(figure, scale, parameters, output):
    """Return the path of stored data.

    What has other parameters than the scale's own, or a user's own images, has a folder and a name
    of its own.

    Parameters
    ----------
    figure : Figure
        Description of the figure.
    scale : str
        One of its scales.
    parameters : dict
        Of the scale, or other values, with the digests of images where images are named.
    output : Path
        Folder of the pictures.

    Returns
    -------
    Path
        A ``.npz``.
    """
    stem, own = f"{figure.name}_{scale}", figure.scales[scale]
    for name, word in (("num_seeds", "seeds"), ("first_seed", "from")):
        if parameters.get(name) != own.get(name):
            stem += f"_{word}{parameters[name]}"
    if "preset" in parameters:
        stem += f"_{parameters['preset']}"
    if not figure_parameters.are_own(figure, scale, parameters):
        return path_of(output, stem, parameters, figure_data.key_of(parameters)[:8])
    return path_of(output, stem, parameters)


def path_of(output, stem, prepared, parameters_mark=""):
    """Return the path of stored data with this stem, apart where something of it is a user's own.

    Parameters
    ----------
    output : Path
        Folder of the pictures.
    stem : str
        Name of the file where nothing is a user's own.
    prepared : dict
        With the digests of images where images are named.
    parameters_mark : str
        Digits that identify parameters of a user's own.

    Returns
    -------
    Path
    """
    images = image_sources.mark(prepared)
    marks = [parameters_mark] * bool(parameters_mark) + [f"images{images}"] * bool(images)
    folder = output / "own" if marks else output
    return folder / "data" / f"{'_'.join([stem, *marks])}.npz"


def stem_of(data):
    """Return the path of a picture without its ending, from that of its data."""
    return data.parents[1] / data.stem
