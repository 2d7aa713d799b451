"""Files that no reader should accept, and whether files were left open."""

from pathlib import Path

import pytest


def check_refusals(read, kind, good, tmp_path):
    """Readers name the file that is missing, empty, text, a directory or truncated."""
    path = tmp_path / f"broken{good.suffix}"
    with pytest.raises(FileNotFoundError, match=f"there is no file .*{path.name}"):
        read(path)
    with pytest.raises(IsADirectoryError, match=f"{tmp_path.name} is a directory"):
        read(tmp_path)
    path.touch()
    with pytest.raises(ValueError, match=rf"{path.name} is empty \(0 bytes\)"):
        read(path)
    whole = good.read_bytes()
    pieces = [whole[: len(whole) * tenths // 10] for tenths in (1, 5, 9)]
    for content in (b"time,unit\n0.5,3\n" * 40, *pieces):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{path.name} cannot be read as {kind}"):
            read(path)
    assert not open_files(tmp_path)


def open_files(directory):
    """Files of a directory that this process holds open; on Windows it could not."""
    handles = Path("/proc/self/fd")
    if not handles.exists():
        for path in directory.iterdir():
            path.rename(path)
        return []
    targets = [
        str(handle.readlink()) for handle in handles.iterdir() if handle.exists()
    ]
    return [target for target in targets if target.startswith(str(directory))]
