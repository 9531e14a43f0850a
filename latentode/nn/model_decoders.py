"""All decoders of models: those a user chooses, and those that follow from the data or from an earlier format."""

from latentode.nn.bridged_decoder import BridgedDecoder
from latentode.nn.channel_decoder import ChannelDecoder
from latentode.nn.decoders import DECODERS, Decoder

__all__ = ["MODEL_DECODERS"]

MODEL_DECODERS: dict[str, type[Decoder]] = {**DECODERS, "channels": ChannelDecoder, "bridged": BridgedDecoder}
"""Decoders by their name in a :class:`~latentode.nn.LatentODEConfig`."""
