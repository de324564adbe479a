"""The command ``python -m benchmarks``: measure, store, report."""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

from aniso import checks
from aniso.runs import files
from benchmarks import growth, machine, pictures, race, tables
from benchmarks.groups import GROUPS
from benchmarks.groups.growth import LAWS
from benchmarks.processes import ROOT, TUNED

RESULTS = Path(__file__).parent / "results"
QUICK_RESULTS = ROOT / "runs" / "benchmarks_quick"


def main(arguments=None):
    """Run the command and return its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        default = QUICK_RESULTS if options.quick else RESULTS
        folder = files.require_folder("--results", options.results or default)
        if options.lock is not None:
            files.require_writable("--lock", options.lock)
        if options.lock is not None and race.fcntl is None:
            raise checks.InputError("--lock: this system has no flock; leave the option out")
    except checks.InputError as error:
        parser.error(str(error))
    if not options.report:
        _measure(options, folder)
    stored = load(folder)
    if not stored:
        parser.error(f"--report: no results in {folder}; expected the files of an earlier run")
    pictures.draw_all(stored, folder)
    print(f"pictures: {folder}")
    if options.tables is not None:
        try:
            tables.rewrite(options.tables, stored)
        except checks.InputError as error:
            parser.error(str(error))
        print(f"rewritten: {options.tables}")
    return 0


def load(folder):
    """Return the stored results of all groups that there are, by name and in their order."""
    found = {}
    for name in GROUPS:
        path = Path(folder) / f"{name}.json"
        if path.exists():
            document = json.loads(path.read_text(encoding="utf-8"))
            if "records" in document:
                found[name] = document
    return found


def _measure(options, folder):
    effort = race.QUICK if options.quick else race.Effort()
    if options.rounds is not None:
        effort = dataclasses.replace(effort, most=options.rounds)
    names = options.only or [
        n for n, group in GROUPS.items() if group.in_quick or not options.quick
    ]
    begin, turns = time.monotonic(), race.Turns(options.lock)
    for name in names:
        start, waited = time.monotonic(), turns.waited
        environment = machine.environment(TUNED)
        records = race.measure(
            GROUPS[name],
            effort,
            python=options.peer_python,
            turns=turns,
            own=options.own,
            say=lambda line: print(line, flush=True),
        )
        document = {
            "group": name,
            "quick": options.quick,
            "seconds": round(time.monotonic() - start - (turns.waited - waited), 1),
            "environment": environment | {"load_after": machine.load()},
            "records": records,
        }
        if GROUPS[name].is_growth:
            document["exponents"] = growth.exponents(records, LAWS)
        with files.atomic_writer(folder / f"{name}.json") as stream:
            stream.write(dumped(document))
        print(f"{name}: {document['seconds']} s", flush=True)
    seconds = time.monotonic() - begin - turns.waited
    waiting = f", and waited {turns.waited:.0f} s for the lock" if options.lock else ""
    print(f"measured in {seconds:.0f} s{waiting}", flush=True)


def dumped(document):
    """Return a document as JSON with a record a line, so that a diff shows records."""
    lists = {key: value for key, value in document.items() if isinstance(value, list)}
    text = json.dumps({**document, **dict.fromkeys(lists)}, indent=1, ensure_ascii=False)
    for key, entries in lists.items():
        lines = [f"  {json.dumps(entry, ensure_ascii=False)}" for entry in entries]
        joined = "[\n" + ",\n".join(lines) + "\n ]" if lines else "[]"
        text = text.replace(f'"{key}": null', f'"{key}": {joined}')
    return text + "\n"


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure aniso beside its peers and the growth of its costs; write one JSON "
        "file a group, and pictures.",
        epilog="groups: " + ", ".join(GROUPS),
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, few rounds: minutes")
    parser.add_argument("--only", nargs="+", choices=list(GROUPS), metavar="GROUP")
    parser.add_argument("--own", action="store_true", help="aniso alone")
    parser.add_argument("--report", action="store_true", help="measure nothing: from stored files")
    parser.add_argument(
        "--tables", nargs="?", const=ROOT / "docs" / "benchmarks.md", type=Path, metavar="FILE",
        help="rewrite the tables of speed in docs/benchmarks.md, or in another file",
    )  # fmt: skip
    parser.add_argument(
        "--results", type=Path,
        help="folder of what is written; benchmarks/results, or runs/benchmarks_quick",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, help="most rounds of a quantity")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter of the peers")
    parser.add_argument(
        "--lock", type=Path, help="hold this file in turns of about a minute, as flock does"
    )
    return parser
