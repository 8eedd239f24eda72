"""Receives a log as of a moment; hands on universal user embeddings x_u (stage 1 of RALM)."""

from kinfolk.represent.config import Progress, RepresentConfig
from kinfolk.represent.embed import embed
from kinfolk.represent.encoder import EncoderConfig, UserEncoder
from kinfolk.represent.features import UserFeatures
from kinfolk.represent.represented import Represented
from kinfolk.represent.samples import Samples, positives
from kinfolk.represent.train import train_represent

__all__ = [
    "EncoderConfig",
    "Progress",
    "RepresentConfig",
    "Represented",
    "Samples",
    "UserEncoder",
    "UserFeatures",
    "embed",
    "positives",
    "train_represent",
]
