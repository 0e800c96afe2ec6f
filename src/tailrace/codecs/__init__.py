"""Values to bytes and back, exactly: what comes out equals what went in, types included."""

from tailrace.codecs.registry import Encoded, Unencodable, decode, encode
from tailrace.codecs.types import register

__all__ = ["Encoded", "Unencodable", "decode", "encode", "register"]
