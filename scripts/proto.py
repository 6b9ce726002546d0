"""Writes the Python code of posthouse/proto/records.proto, or (with --check) says whether it is up to date."""

import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parent.parent
SOURCE = "posthouse/proto/records.proto"
MADE = [f"posthouse/proto/records_{kind}" for kind in ("pb2.py", "pb2.pyi", "pb2_grpc.py")]


def make(folder: Path) -> None:
    """Writes the code below a folder."""
    includes = Path(protoc.__file__).parent / "_proto"
    outs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
    if protoc.main(["protoc", f"-I{ROOT}", f"-I{includes}", *outs, str(ROOT / SOURCE)]):
        sys.exit(f"{SOURCE} cannot be compiled")


def stale() -> list[str]:
    """The files that are not what the source says."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        return [name for name in MADE if (ROOT / name).read_bytes() != Path(folder, name).read_bytes()]


if __name__ == "__main__":
    if "--check" not in sys.argv[1:]:
        make(ROOT)
    elif old := stale():
        sys.exit(f"{', '.join(old)}: not up to date; run: make proto")
