"""Imports what every job needs, once, in the server that job processes are forked from; it runs no tensor operation."""

import torch

import workers.kinds.train
import workers.trainer.child

__all__ = ["torch", "workers"]
