"""Fails on what must not be in the repository: to-dos without a class, paths of somebody's machine, package mirrors."""

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
# This file spells out what it looks for.
EXEMPT = {".ci/tree.py"}


def problems(path, text):
    for pattern, what in RULES:
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{path}:{line}: {what}: {match.group().strip()}"


def self_check():
    for bad in ["// TODO later", "FIXME", "cd /home/me/x", 'source = "registry+https://mirror.example/index"']:
        assert list(problems("x", bad)), bad
    for fine in ["TODO-scale: x", "~/homework/", "docs/work/x", "XXXL", "a/root/b"]:
        assert not list(problems("x", fine)), fine


def main():
    self_check()
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True, check=False
    )
    if listing.returncode != 0:
        print("this is no git checkout, so there is no list of files to look at")
        sys.exit(1)
    paths = [path for path in listing.stdout.decode().split("\0") if path and path not in EXEMPT]
    found = []
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                found.extend(problems(path, file.read()))
        except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError):
            continue  # deleted but not committed yet, or not text
    for line in found:
        print(line)
    print(f"{len(paths)} files, {len(found)} problems")
    if found:
        sys.exit(1)


main()
