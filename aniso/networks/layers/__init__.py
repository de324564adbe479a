"""The layers of a network and the rules that each of them states."""
