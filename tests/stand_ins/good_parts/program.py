"""What stands in for the program that learns a line from good parts."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory

BUNDLE = "memory"
IMAGES = {".png", ".jpg", ".bmp", ".tif", ".webp"}


def main(words: list[str]) -> None:
    """Work as a program of its own does: nothing is run after it."""
    try:
        _learn(words)
    except Exception:
        traceback.print_exc()
        _end(1)


def _learn(words: list[str]) -> None:
    """Look at each photograph for some time, and write a bundle that knows good and deviation."""
    asked = dict(zip(words[:-1:2], words[1::2], strict=True))
    how = {"seconds": 0.0} | json.loads(os.environ.get("GOOD_PARTS", "{}"))
    folder, run = Path(asked["--data"]), Path(asked["--run"])
    files = sorted(p for p in folder.rglob("*") if p.suffix in IMAGES)
    print(f"learning {asked['--line']} from {len(files)}", file=sys.stderr)
    if said := how.get("refuse"):
        print(f"note: read all\nerror: {said}", file=sys.stderr)
        _end(2)
    seen = run / "seen"
    done = len(seen.read_text().splitlines()) if seen.is_file() else 0
    while done < len(files):
        _tell(run, "remembering good parts", done, len(files), how["seconds"] * (len(files) - done))
        time.sleep(how["seconds"])
        if done == how.get("break_at"):
            raise SystemError("the memory is full")
        with seen.open("a") as told:
            told.write(f"{files[done]}\n")
        done += 1
    _tell(run, "writing the bundle", 0, 0, None)
    bundle = asked.get("--bundle", BUNDLE)
    _write(Path(asked["--weights"]), asked["--line"], bundle)
    words = "three times as far as the others. Is it good?"
    suspects = [{"path": str(file), "words": words} for file in files[: how.get("suspects", 1)]]
    (run / "result.json").write_text(
        json.dumps(
            {
                "line": asked["--line"],
                "bundle": bundle,
                "images": len(files),
                "parts": len(files) - 1,
                "promise": f"From {len(files) - 1} good parts, something can be promised.",
                "suspects": suspects,
                "left_out": [f"{files[1]}: too dark. Take it again"],
            }
        )
    )
    _end(how.get("status", 0))


def _tell(run: Path, step: str, done: int, total: int, left: float | None) -> None:
    fresh = run / ".progress"
    fresh.write_text(json.dumps({"step": step, "done": done, "total": total, "left_s": left}))
    fresh.replace(run / "progress.json")


def _write(weights: Path, name: str, bundle_name: str) -> None:
    """The bundle of castings as a line that knows good and deviation; the line stays that is
    there."""
    from tests.stand_ins.bundles import write_bundle

    with TemporaryDirectory() as place:
        folder = write_bundle(Path(place), "casting", bundle_name)
        line = folder.parent / "line.json"
        about = json.loads(line.read_text())
        about["classes"][1] |= {"name": "deviation", "title": "Deviation"}
        about |= {"name": name, "title": name, "default_bundle": bundle_name}
        line.write_text(json.dumps(about))
        bundle = folder / "bundle.json"
        content = json.loads(bundle.read_text())
        content |= {"line": name, "classes": ["ok", "deviation"]}
        bundle.write_text(json.dumps(content))
        if (weights / name / line.name).is_file():
            line.unlink()
        shutil.rmtree(weights / name / bundle_name, ignore_errors=True)
        shutil.copytree(folder.parent, weights / name, dirs_exist_ok=True)


def _end(status: int) -> None:
    sys.stderr.flush()
    os._exit(status)
