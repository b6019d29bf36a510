"""Reads `cargo metadata` and fails on a dependency whose licence is not allowed. Needs no network and no other tool."""

import json
import re
import sys

# Those that a binary under MIT OR Apache-2.0 can carry; .cargo/deny.toml has the same list.
ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
}


def is_allowed(expression):
    """Whether an SPDX expression can be met with the allowed licences alone."""
    # `MIT/Apache-2.0` is how `MIT OR Apache-2.0` was once written.
    words = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))
    at = 0

    def word():
        return words[at] if at < len(words) else None

    def take():
        nonlocal at
        if word() is None:
            raise ValueError(f"not an SPDX expression: {expression!r}")
        at += 1
        return words[at - 1]

    def one():
        if word() == "(":
            take()
            met = either()
            if take() != ")":
                raise ValueError(f"not an SPDX expression: {expression!r}")
            return met
        name = take()
        if word() == "WITH":
            take()
            name = f"{name} WITH {take()}"
        return name in ALLOWED

    def both():
        met = one()
        while word() == "AND":
            take()
            met = one() and met
        return met

    def either():
        met = both()
        while word() == "OR":
            take()
            met = both() or met
        return met

    met = either()
    if word() is not None:
        raise ValueError(f"not an SPDX expression: {expression!r}")
    return met


def self_check():
    cases = {
        "MIT": True,
        "GPL-3.0-only": False,
        "GPL-3.0-only OR MIT": True,
        "GPL-3.0-only AND MIT": False,
        "(MIT OR Apache-2.0) AND Unicode-3.0": True,
        "(MIT OR Apache-2.0) AND GPL-3.0-only": False,
        "MIT/GPL-3.0": True,
        "Apache-2.0 WITH LLVM-exception": True,
        "GPL-2.0-only WITH Classpath-exception-2.0": False,
    }
    for expression, expected in cases.items():
        assert is_allowed(expression) == expected, expression


def main():
    self_check()
    packages = [package for package in json.load(sys.stdin)["packages"] if package["source"] is not None]
    bad = []
    for package in packages:
        licence = package["license"]
        try:
            fine = licence is not None and is_allowed(licence)
        except ValueError:
            fine = False
        if not fine:
            bad.append(f"{package['name']} {package['version']}: {licence or 'no licence given'}")
    for line in bad:
        print(f"licence not allowed: {line}")
    print(f"{len(packages)} dependencies, {len(bad)} with a licence that is not allowed")
    if bad or not packages:
        sys.exit(1)


main()
