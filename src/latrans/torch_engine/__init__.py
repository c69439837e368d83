"""What engine "torch" is made of: batches of exact integers on CPU tensors or on a GPU.

Calls that many chunks make at a time come in, what each would have got alone goes out.  PyTorch is
imported here and in training only, and not before the engine is asked for.  It may import
`coding`, `engine`, `process`, `residual`, `threads` and `errors`.
"""

import torch

from ..coding import array_ops
from . import namespace

array_ops.register(torch.Tensor, namespace)
