"""Fails on what must not be in the repository: to-dos without a class, paths of somebody's machine, package mirrors,
comments wider than the code, doc comments that begin with a question instead of the thing or the deed, names of types
that stand for three things, and files that are too long."""

import re
import subprocess
import sys

RULES = [
    (
        re.compile(r"\b(TODO(?!-(correctness|scale|ops)\b)|FIXME|XXX)\b"),
        "a to-do without a class: write TODO-correctness, TODO-scale or TODO-ops",
    ),
    (re.compile(r"(?<![\w.-])/(home|Users|root|work)/[\w.]"), "a path of somebody's machine"),
    # Cargo.lock names the public registry by its address, whatever mirror served the packages.
    (
        re.compile(r'^(source|registry) = "(?!registry\+https://github\.com/rust-lang/crates\.io-index")\w+\+.*', re.MULTILINE),
        "a package source other than the public registry",
    ),
]
# Comments have no formatter that would keep them as narrow as code.
WIDTH = 120
# "What holds now." names nothing: "Policy that holds now." does. Now and then a question is the best beginning.
QUESTION = re.compile(r"(what|who|whose|whom|how|where|whether|which|when)\b", re.IGNORECASE)
MOST_QUESTIONS = 0.07
# A part's configuration and a part's errors are one thing each.
COMMON_NAMES = {"Config", "Error"}
MOST_MEANINGS = 2
MOST_LINES = 600
# This file spells out what it looks for.
EXEMPT = {".ci/tree.py"}


def problems(path, text):
    for pattern, what in RULES:
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{path}:{line}: {what}: {match.group().strip()}"


def wide(path, text):
    """Comments that are too wide; tables, code and drawings in them may be."""
    is_code = False
    for number, line in enumerate(text.splitlines(), 1):
        comment = re.match(r"\s*//[/!]? ?(.*)", line)
        said = comment.group(1).strip() if comment else ""
        is_code = bool(comment) and is_code ^ said.startswith("```")
        if comment and len(line) > WIDTH and not is_code and not said.startswith("|"):
            yield f"{path}:{number}: a comment wider than {WIDTH} columns"


def beginnings(path, text):
    """The first line of each doc comment, with its place."""
    before = None
    for number, line in enumerate(text.splitlines(), 1):
        doc = re.match(r"\s*//[/!] ?(.*)", line)
        if doc and not before:
            yield f"{path}:{number}", doc.group(1)
        before = doc


def types(text):
    """Names of the types that a file defines, tests aside."""
    code = re.split(r"^#\[cfg\(test\)\]\n(?:pub(?:\([^)]*\))? )?mod ", text, maxsplit=1, flags=re.MULTILINE)[0]
    return set(re.findall(r"^(?:pub(?:\([^)]*\))? )?(?:struct|enum|trait|type) (\w+)", code, re.MULTILINE))


def self_check():
    for bad in ["// TODO later", "FIXME", "cd /home/me/x", 'source = "registry+https://mirror.example/index"']:
        assert list(problems("x", bad)), bad
    for fine in ["TODO-scale: x", "~/homework/", "docs/work/x", "XXXL", "a/root/b"]:
        assert not list(problems("x", fine)), fine
    long = "x " * WIDTH
    assert len(list(wide("x", f"// {long}\n// | {long}\n// ```\n// {long}\n// ```\n{long}\n/// {long}"))) == 2
    assert [said for _, said in beginnings("x", "/// One\n/// two\nfn x() {}\n    /// Three")] == ["One", "Three"]
    assert types("pub(super) struct A;\ntype B = u8;\n    enum C {}\n#[cfg(test)]\nmod tests {\nstruct D;\n}\n") == {"A", "B"}
    assert QUESTION.match("What holds") and not QUESTION.match("Whatever holds")


def main():
    self_check()
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True, check=False
    )
    if listing.returncode != 0:
        print("this is no git checkout, so there is no list of files to look at")
        sys.exit(1)
    paths = [path for path in listing.stdout.decode().split("\0") if path and path not in EXEMPT]
    found, docs, meanings = [], [], {}
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
            found.extend(problems(path, text))
            if path.endswith(".rs"):
                found.extend(wide(path, text))
            if path.startswith("src/"):
                docs.extend(beginnings(path, text))
                if not re.search(r"/(tests|simulation|testdata)\b", path):
                    for name in types(text) - COMMON_NAMES:
                        meanings.setdefault(name, []).append(path)
                if path.endswith(".rs") and text.count("\n") > MOST_LINES:
                    found.append(f"{path}: more than {MOST_LINES} lines")
        except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError):
            continue  # deleted but not committed yet, or not text
    asking = [f"{place}: {said}" for place, said in docs if QUESTION.match(said)]
    if len(asking) > MOST_QUESTIONS * len(docs):
        found.extend(asking)
        found.append(f"{len(asking)} of {len(docs)} doc comments begin with a question: name the thing or the deed first")
    for name, places in sorted(meanings.items()):
        if len(places) > MOST_MEANINGS:
            found.append(f"{name} is the name of {len(places)} types: {', '.join(places)}")
    for line in found:
        print(line)
    print(f"{len(paths)} files, {len(found)} problems")
    if found:
        sys.exit(1)


main()
