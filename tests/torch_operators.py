"""Operators of PyTorch tensors with the interfaces of other packages."""


class Products:
    """As curvlinops: `shape`, and products with blocks of tensors."""

    def __init__(self, tensor):
        self.tensor, self.shape = tensor, tensor.shape
        self.dtype, self.device = tensor.dtype, tensor.device

    def __matmul__(self, tensors):
        return self.tensor @ tensors


class Applied:
    """As hessian-eigenthings: `size`, and products with one vector, by ``@`` too."""

    def __init__(self, tensor):
        self.tensor, self.size = tensor, len(tensor)
        self.dtype, self.device = tensor.dtype, tensor.device

    def matvec(self, vector):
        if vector.shape != (self.size,):
            raise ValueError(f"expected vector of shape ({self.size},)")
        return self.tensor @ vector

    __matmul__ = matvec
