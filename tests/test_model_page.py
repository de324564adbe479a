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


def test_the_calls_of_the_table_answer():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.manual_seed(0)
    page, names = (ROOT / "docs" / "start" / "model.md").read_text(encoding="utf-8"), {}
    # this page includes the program of the README
    for text in ((ROOT / "README.md").read_text(encoding="utf-8"), page):
        for package, program in PROGRAM.findall(text):
            if package == "torch" and "to_html" not in program:
                exec(program, names)
            elif package == "torch":
                exec(program.partition("found = ")[0], names)
    calls = re.findall(r"^\| [^|]* \| `(.*)` \|$", page, re.MULTILINE)
    assert len(calls) == 9
    for call in calls:
        assert eval(call, names) is not None, call


def test_every_program_is_run_here_or_by_the_doctests():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    plain = [block for block in blocks if not block.startswith(">>> ")]
    assert plain == [program for _, program in PROGRAMS]
    assert len(plain) == 4
