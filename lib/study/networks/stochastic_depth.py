"""The option of networks that skip blocks at random while they train (Huang et al. 2016)."""

from typing import Annotated

from pydantic import Field

from lib.study.strict import Strict


class StochasticDepth(Strict):
    """`drop_path`: the last block's chance of being skipped, which rises from 0 over the blocks.

    In an MLP-Mixer it is that of every block.
    """

    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
