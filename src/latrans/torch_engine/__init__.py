"""What engine "torch" is made of: batches of exact integers on CPU tensors or on a GPU.

PyTorch is imported here and in training only, and not before the engine is asked for.
"""

import torch

from ..coding import array_ops
from . import namespace

array_ops.register(torch.Tensor, namespace)
