#!/usr/bin/env python3
"""Checks an export bundle with Python's standard library alone.

usage: check_bundle.py BUNDLE...

It reads the lines, opens every commitment that it can, hashes the leaves and
compares the tree's root with the one that the checkpoint names. It checks no
signature and replays nothing.
"""
import base64
import hashlib
import json
import sys


def need(true, what):
    if not true:
        sys.exit("refused: " + what)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def b64(raw):  # RFC 4648 section 5, unpadded
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def commitment(domain, salt, value):
    return b64(sha256(domain.encode() + b"\n", base64.urlsafe_b64decode(salt + "="), canonical(value).encode()))


def root(hashes):
    """RFC 6962 section 2.1: the largest power of two goes to the left."""
    if len(hashes) == 1:
        return hashes[0]
    left = 1
    while left * 2 < len(hashes):
        left *= 2
    return sha256(b"\1", root(hashes[:left]), root(hashes[left:]))


def check(name):
    text = open(name, "rb").read().decode()
    lines = text.split("\n")
    need(lines.pop() == "", "the last line does not end")
    parsed = [json.loads(line) for line in lines]
    need(all(canonical(v) == line for v, line in zip(parsed, lines)), "a line is not canonical JSON")
    head, leaves, end = parsed[0], parsed[1:-1], parsed[-1]
    need(head["v"] == "sallyport.export/v1" and end["v"] == "sallyport.export.end/v1", "another format")
    need(head["size"] == len(leaves) == end["leaves"], "not all leaves are there")
    for i, leaf in enumerate(leaves):
        need(leaf["index"] == i, "leaf %d is not in its place" % i)
        fields = leaf["leaf"].split("\n")
        need(fields[0] == "sallyport.ledger/v1" and len(fields) == 7 and fields[6] == "", "leaf %d is no leaf" % i)
        for part, line, domain in (("facts", 4, "sallyport.facts/v1"), ("person", 5, "sallyport.person/v1")):
            if part in leaf:
                need(commitment(domain, leaf[part + "_salt"], leaf[part]) == fields[line], "%s of leaf %d" % (part, i))
    origin, size, signed, *_ = end["checkpoint"].split("\n")
    have = base64.b64encode(root([sha256(b"\0", leaf["leaf"].encode()) for leaf in leaves])).decode()
    need((origin, size, signed) == (head["origin"], str(len(leaves)), have), "the leaves do not have the root that the checkpoint signs")
    return len(leaves)


need(sys.argv[1:], "no bundle named")
print("ok: %d leaves" % sum(check(name) for name in sys.argv[1:]))
