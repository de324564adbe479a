"""The programs about one's own model, on several pages, run as they stand."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "how-to" / "your-own-model.md"
PROGRAM = re.compile(r"<!-- run: (\w+) -->\n```python\n(.*?)```", re.DOTALL)
PROGRAMS = PROGRAM.findall(PAGE.read_text(encoding="utf-8"))
FIRST = [
    program
    for name in ("README.md", "docs/start/jax.md")
    for program in PROGRAM.findall((ROOT / name).read_text(encoding="utf-8"))
]


@pytest.mark.filterwarnings("ignore:`torch.jit.script")  # of PyTorch itself
@pytest.mark.parametrize("number", range(len(PROGRAMS + FIRST)))
def test_a_program_runs(number, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    package, program = [*PROGRAMS, *FIRST][number]
    module = pytest.importorskip(package, reason=f"{package} is not installed")
    if package == "torch":
        module.manual_seed(0)
    exec(compile(program, f"{PAGE.name}, program {number}", "exec"), {"__name__": "program"})
    assert capsys.readouterr().out


def test_every_program_is_run_here_or_by_the_doctests():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    plain = [block for block in blocks if not block.startswith(">>> ")]
    assert plain == [program for _, program in PROGRAMS]
    assert len(plain) == 4
