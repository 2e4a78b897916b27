"""The README's table "tested with": made from the cases, so that it says what the run prints, no more and no less."""

import difflib
import re

BEGIN, END = "<!-- tested with: made by tests/interop/run --readme --write -->\n", "<!-- end of tested with -->"


def table(stacks):
    """One row a stack: what kept its state, and what was killed."""
    rows = ["| stack | version | cases | node killed |\n|---|---|---|---|\n"]
    for stack in stacks:
        version = "the distribution's" if callable(stack.version) else stack.version
        kept = [case.name for case in stack.cases if not case.killed]
        killed = [case.name.removesuffix(", node killed") for case in stack.cases if case.killed]
        rows.append(f"| {stack.title} | {version} | {'; '.join(kept)} | {'; '.join(killed) or 'see [there](tests/interop/README.md)'} |\n")
    return "".join(rows)


def compare(stacks, file, write):
    """0 if the README has the table (or has it now); else 1, with what differs."""
    text = file.read_text()
    found = re.search(re.escape(BEGIN) + "(.*?)" + re.escape(END), text, re.S)
    if not found:
        print(f"{file}: the marks around the table are missing")
        return 1
    made = table(stacks)
    if write:
        file.write_text(text[:found.start(1)] + made + text[found.end(1):])
        return 0
    if made == found.group(1):
        return 0
    print(f"{file}: the table is not that of the cases; tests/interop/run --readme --write makes it")
    print("\n".join(difflib.unified_diff(found.group(1).splitlines(), made.splitlines(), "README.md", "the cases", lineterm="", n=0)))
    return 1
