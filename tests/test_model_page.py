"""The programs of the page about one's own model run as they stand."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "your-own-model.md"
PROGRAM = re.compile(r"<!-- run: (\w+) -->\n```python\n(.*?)```", re.DOTALL)
PROGRAMS = PROGRAM.findall(PAGE.read_text(encoding="utf-8"))


@pytest.mark.filterwarnings("ignore:`torch.jit.script")  # of PyTorch itself
@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_program_runs(number, capsys):
    package, program = PROGRAMS[number]
    module = pytest.importorskip(package, reason=f"{package} is not installed")
    if package == "torch":
        module.manual_seed(0)
    exec(compile(program, f"{PAGE.name}, program {number}", "exec"), {"__name__": "program"})
    assert capsys.readouterr().out


def test_every_program_is_run_here_or_by_the_doctests():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    plain = [block for block in blocks if not block.startswith(">>> ")]
    assert plain == [program for _, program in PROGRAMS]
    assert len(plain) == 3
