"""Values to bytes and back, exactly: what comes out equals what went in, types included."""

from tailrace.codecs.files import FILE, Reference, read_reference, write_reference
from tailrace.codecs.registry import LOST, MISSING, Encoded, Unencodable, decode, encode, missing
from tailrace.codecs.types import register

__all__ = [
    "FILE",
    "LOST",
    "MISSING",
    "Encoded",
    "Reference",
    "Unencodable",
    "decode",
    "encode",
    "missing",
    "read_reference",
    "register",
    "write_reference",
]
